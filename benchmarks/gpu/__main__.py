"""Every check and measurement that needs CUDA, the most important first, each part in a process group with a
time limit.

    python -m benchmarks.gpu [--out gpu.json] [--seconds 480] [--only resume full] [--data .gpu] [--dry]
    python -m benchmarks.gpu --show gpu.json      # the table of an earlier run

gpu.json is written after every part, a table for the docs is printed at the end. A part that would begin with
less than six seconds of `--seconds` left is dropped. Without CUDA the same parts run on the CPU with tiny
sizes: a test of this script that measures nothing.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import tempfile
import time
import warnings
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from benchmarks.gpu.part import LEAST_SECONDS, Bench, Outcome, Part, in_words, run_part

ROOM = "benchmarks.gpu"
TEXTBOOKS = ("convolutions", "lstm_2x256", "vit", "lstm_64", "row_encoder", "lenet")
PARTS = (
    Part("card", f"{ROOM}.card:card", 40),
    Part("data", f"{ROOM}.card:data", 40),
    Part("trains", f"{ROOM}.right:trains", 50),
    Part("refused", f"{ROOM}.right:refused", 20),
    Part("same seed", f"{ROOM}.right:same_seed", 60),
    Part("resume", f"{ROOM}.right:resume", 55),
    Part("full", f"{ROOM}.memory:full", 45),
    Part("exported", f"{ROOM}.exports:exported", 25),
    Part("fresh", f"{ROOM}.clocks:fresh", 65),
    Part("profile", f"{ROOM}.steps:profiled", 40),
    Part("graphed", f"{ROOM}.graphs:graphed", 20),
    *(Part(f"textbook {name}", f"{ROOM}.clocks:textbook", 30, (name,)) for name in TEXTBOOKS[:3]),
    Part("sizes", f"{ROOM}.steps:sizes", 30),
    Part("starts", f"{ROOM}.clocks:starts", 25),
    Part("providers", f"{ROOM}.exports:providers", 20),
    Part("deterministic", f"{ROOM}.clocks:deterministic", 90),
    Part("compiled", f"{ROOM}.graphs:compiled", 70),
    Part("variants", f"{ROOM}.steps:variants", 60),
    Part("warm", f"{ROOM}.clocks:warm", 55),
    Part("precisions", f"{ROOM}.right:precisions", 40),
    *(Part(f"textbook {name}", f"{ROOM}.clocks:textbook", 30, (name,)) for name in TEXTBOOKS[3:]),
)
LATE = ("torch._dynamo", "torch.export", "onnxscript")
"""What torch and the exporter import when they are first used: once here instead of in every process of a
part.
"""
NEEDED = ("card", "data")
"""Parts that the others stand on."""


def main() -> int:
    """Run, write, print; 1 when a part failed."""
    options = _options()
    if options.show:
        print(table([Outcome(**outcome) for outcome in json.loads(options.show.read_text())["parts"]]))
        return 0
    warnings.filterwarnings(
        "ignore", "This process .* is multi-threaded", DeprecationWarning
    )  # of fork: no thread is ours
    began, outcomes, device = time.monotonic(), list[Outcome](), "cpu"

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:5.1f} s] {text}", flush=True)

    with tempfile.TemporaryDirectory(prefix="gpu-") as name:
        scratch = Path(name)
        _use(scratch, options.data)
        for module in (*dict.fromkeys(part.work.partition(":")[0] for part in PARTS), *LATE):
            with suppress(ImportError):  # each part says what it lacks
                importlib.import_module(module)
        for part in PARTS:
            if options.only and part.name not in (*options.only, *NEEDED):
                continue
            left = options.seconds - (time.monotonic() - began)
            if left < LEAST_SECONDS:
                outcomes.append(
                    Outcome(
                        part.name,
                        "dropped",
                        tail=[f"the {options.seconds:.0f} s of the whole script were over"],
                    )
                )
            else:
                say(part.name)
                ends = time.monotonic() + min(part.limit, left)
                notes = scratch / f"{part.name.replace(' ', '-')}.jsonl"
                bench = Bench(scratch, scratch / "data", device, notes, ends)
                outcomes.append(run_part(part, bench, say))
                if part.name == "card" and not options.dry and _has_cuda(outcomes[-1]):
                    device = "cuda"
            say(f"{part.name}: {outcomes[-1].state}, {outcomes[-1].seconds} s")
            _write(options.out, outcomes, device)
    print("\n" + table(outcomes))
    return int(any(outcome.state in ("failed", "cut off") for outcome in outcomes))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", ".")) / "gpu.json")
    parser.add_argument("--seconds", type=float, default=480, help="of the whole script")
    parser.add_argument("--only", nargs="+", default=[], choices=[part.name for part in PARTS], help="parts")
    parser.add_argument("--data", type=Path, default=Path(".gpu"), help="folder that holds mnist/")
    parser.add_argument("--dry", action="store_true", help="on the CPU, though there is CUDA")
    parser.add_argument("--show", type=Path, help="print the table of an earlier gpu.json")
    return parser.parse_args()


def _use(scratch: Path, data: Path) -> None:
    """Nothing of the user's own store and cache is read or changed."""
    os.environ |= {"MODELYARD_HOME": str(scratch / "runs"), "MODELYARD_CACHE": str(scratch / "cache")}
    if (data / "mnist").is_dir():
        os.environ["MODELYARD_DATA"] = str(data.resolve())


def _has_cuda(outcome: Outcome) -> bool:
    return any(note["what"] == "cuda" and note["there"] for note in outcome.notes)


def _write(path: Path, outcomes: list[Outcome], device: str) -> None:
    whole = {"date": time.strftime("%Y-%m-%d"), "command": sys.argv, "device": device, "dry": device == "cpu"}
    scratch = path.with_suffix(".part")
    scratch.write_text(json.dumps(whole | {"parts": [asdict(outcome) for outcome in outcomes]}, indent=1))
    scratch.replace(path)


def table(outcomes: list[Outcome]) -> str:
    """Markdown: a line for everything noted."""
    lines = ["| part | state | s | found |", "|---|---|---|---|"]
    for outcome in outcomes:
        lines.append(
            f"| **{outcome.name}** | {outcome.state} | {outcome.seconds} | "
            f"{' '.join(outcome.tail[-1:])[:150]} |"
        )
        lines += [f"| | | | {in_words(note)[:400].replace('|', '/')} |" for note in outcome.notes]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
