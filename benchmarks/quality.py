"""Results over seeds: mean and standard deviation of each architecture, as a table for docs/results.md.

    python -m benchmarks.quality --dataset mnist --seeds 0 1 2
    python -m benchmarks.quality --dataset mnist --labels 100 --seeds 0 1 2 3 4

Each seed is one `modelyard run`; runs that were done before are read again. Recipes are fixed beforehand and
epochs are chosen on validation, so that the test images decide nothing. With --labels each seed draws labels
of its own. --record FILE keeps every seed as a line of JSON with date, machine and commit, and asks only for
what it does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.textbook.evidence import machine
from modelyard.recipes.named import ARCHITECTURES

COLUMNS = {"validation %": 2, "test %": 2, "NLL": 4, "ECE %": 2, "p50 ms": 3, "train s": 0}
"""Column of the board -> decimals."""
Rows = list[dict[str, Any]]


class Record:
    """Seeds that were measured, in a file of JSON lines."""

    def __init__(self, path: Path | None, question: dict[str, Any]) -> None:
        self._path, self._question = path, question
        lines = path.read_text().splitlines() if path and path.exists() else []
        entries = [json.loads(line) for line in lines]
        self._rows = [(entry["seed"], entry["row"]) for entry in entries if question.items() <= entry.items()]

    def rows(self, seed: int, architectures: Sequence[str]) -> Rows:
        """What is known of a seed, in the order of `architectures`."""
        known = {row["architecture"]: row for number, row in self._rows if number == seed}
        return [known[name] for name in architectures if name in known]

    def add(self, seed: int, rows: Rows) -> None:
        """Keep what a run found."""
        self._rows += [(seed, row) for row in rows]
        if self._path:
            facts = {
                "seed": seed,
                "date": time.strftime("%Y-%m-%d"),
                "machine": machine(),
                "commit": _commit(),
            }
            with self._path.open("a") as stream:
                stream.writelines(json.dumps({**self._question, **facts, "row": row}) + "\n" for row in rows)


def board(arguments: list[str]) -> Rows:
    """The rows of one `modelyard run`."""
    command = [sys.executable, "-m", "modelyard", "run", "--json", *arguments]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    rows: Rows = json.loads(output)["board"]
    return rows


def table(boards: list[Rows]) -> str:
    """Markdown: one row for each architecture, `mean ± standard deviation` over the boards."""
    lines = [["architecture", "parameters", "KB", *COLUMNS], ["---"] * (len(COLUMNS) + 3)]
    for rows in zip(*boards, strict=True):
        first = rows[0]
        spreads = [
            _spread([float(row[name]) for row in rows], decimals) for name, decimals in COLUMNS.items()
        ]
        lines.append([first["architecture"], f"{first['parameters']:,}", str(first["KB"]), *spreads])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _spread(values: list[float], decimals: int) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.{decimals}f} ± {deviation:.{decimals}f}"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--preset", default="standard")
    parser.add_argument("--architecture", "-a", action="append", default=[], help="default: all three")
    parser.add_argument("--labels", type=int, default=0, help="train on so few images; 0: on all")
    parser.add_argument("--set", action="append", default=[], help="change a recipe value")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--record", type=Path, help="a file of JSON lines to read from and to add to")
    options = parser.parse_args()
    drawn = f", {options.labels} labels" if options.labels else ""
    print(
        f"{options.dataset}, {options.preset}{drawn}, seeds {options.seeds},"
        f" {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}\n"
    )
    question = {
        "dataset": options.dataset,
        "preset": options.preset,
        "labels": options.labels,
        "changes": options.set,
    }
    record = Record(options.record, question)
    print(table([_rows(options, record, seed) for seed in options.seeds]))


def _rows(options: argparse.Namespace, record: Record, seed: int) -> Rows:
    """Of the record, and what it lacks of a run."""
    wanted = options.architecture or list(ARCHITECTURES)
    known = [row["architecture"] for row in record.rows(seed, wanted)]
    if missing := [name for name in wanted if name not in known]:
        record.add(seed, board(_arguments(options, seed, missing)))
    return record.rows(seed, wanted)


def _arguments(options: argparse.Namespace, seed: int, architectures: Sequence[str]) -> list[str]:
    """Of the run with this seed."""
    words = [
        "--dataset",
        options.dataset,
        "--preset",
        options.preset,
        "--labels",
        str(options.labels),
        "--seed",
        str(seed),
    ]
    words += [word for name in architectures for word in ("--architecture", name)]
    changes = [*options.set, *([f"data.labels_seed={seed}"] if options.labels else [])]
    return [*words, *(word for change in changes for word in ("--set", change))]


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    main()
