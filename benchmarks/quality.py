"""Results over seeds: mean and standard deviation of each architecture, as a table for the README.

    python benchmarks/quality.py --dataset mnist --seeds 0 1 2
    python benchmarks/quality.py --dataset mnist --labels 100 --seeds 0 1 2 3 4

Each seed is one `modelyard run`; runs that were done before are read again. Recipes are fixed beforehand and epochs are
chosen on validation, so that the test images decide nothing. With --labels each seed draws labels of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

COLUMNS = {"validation %": 2, "test %": 2, "NLL": 4, "ECE %": 2, "p50 ms": 3, "train s": 0}
"""Column of the board -> decimals."""


def board(arguments: list[str]) -> list[dict[str, Any]]:
    """The rows of one `modelyard run`."""
    command = [sys.executable, "-m", "modelyard", "run", "--json", *arguments]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    rows: list[dict[str, Any]] = json.loads(output)["board"]
    return rows


def table(boards: list[list[dict[str, Any]]]) -> str:
    """Markdown: one row for each architecture, `mean ± standard deviation` over the boards."""
    lines = [["architecture", "parameters", "KB", *COLUMNS], ["---"] * (len(COLUMNS) + 3)]
    for rows in zip(*boards, strict=True):
        first = rows[0]
        spreads = [_spread([float(row[name]) for row in rows], decimals) for name, decimals in COLUMNS.items()]
        lines.append([first["architecture"], f"{first['parameters']:,}", str(first["KB"]), *spreads])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _spread(values: list[float], decimals: int) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.{decimals}f} ± {deviation:.{decimals}f}"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--preset", default="standard")
    parser.add_argument("--architecture", "-a", action="append", default=[], help="default: all three")
    parser.add_argument("--labels", type=int, default=0, help="train on so few images; 0: on all")
    parser.add_argument("--set", action="append", default=[], help="change a recipe value")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    drawn = f", {options.labels} labels" if options.labels else ""
    print(
        f"{options.dataset}, {options.preset}{drawn}, seeds {options.seeds},"
        f" {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}\n"
    )
    print(table([board(_arguments(options, seed)) for seed in options.seeds]))


def _arguments(options: argparse.Namespace, seed: int) -> list[str]:
    """Of the run with this seed."""
    words = ["--dataset", options.dataset, "--preset", options.preset, "--labels", str(options.labels), "--seed", str(seed)]
    words += [word for name in options.architecture for word in ("--architecture", name)]
    changes = [*options.set, *([f"data.labels_seed={seed}"] if options.labels else [])]
    return [*words, *(word for change in changes for word in ("--set", change))]


if __name__ == "__main__":
    main()
