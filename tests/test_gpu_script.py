"""The GPU script: every part runs without a GPU, a part's end is its own, what was noted before
it is kept.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from benchmarks.gpu import memory
from benchmarks.gpu.__main__ import PARTS, main, table
from benchmarks.gpu.card import why_not
from benchmarks.gpu.part import Bench, Outcome, Part, apart, ended, run_part

HERE = "tests.test_gpu_script"


@pytest.fixture(scope="module")
def dry(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """A dry run, as a machine without CUDA gives it."""
    out = tmp_path_factory.mktemp("gpu") / "gpu.json"
    command = [sys.executable, "-m", "benchmarks.gpu", "--dry", "--seconds", "300", "--out", str(out)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent.parent
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    return {part["name"]: Outcome(**part) for part in json.loads(out.read_text())["parts"]}


def test_every_part_runs(dry: dict[str, Outcome]) -> None:
    assert {name: outcome.state for name, outcome in dry.items()} == dict.fromkeys(
        (part.name for part in PARTS), "ok"
    )


def test_each_architecture_and_preset_is_trained_and_a_killed_one_is_the_same(
    dry: dict[str, Outcome],
) -> None:
    assert len(dry["trains"].notes) == 15
    assert [note["weights"] for note in dry["resume"].notes] == ["equal"]
    assert "--device cuda:99: torch sees no CUDA device" in dry["refused"].notes[0]["told"]


def test_every_line_of_the_table_is_one(dry: dict[str, Outcome]) -> None:
    notes = sum(len(outcome.notes) for outcome in dry.values())
    assert len(table(list(dry.values())).splitlines()) == 2 + len(dry) + notes


def notes_and_fails(bench: Bench) -> None:
    bench.note("first", value=1)
    with bench.case("second"):
        raise ValueError("no such card")
    sys.stdout.write("before the end\n")
    raise SystemExit(3)


def notes_and_hangs(bench: Bench) -> None:
    bench.note("first", value=1)
    subprocess.run(["sleep", "600"], check=False)


def outcome_of(work: str, folder: Path, seconds: float = 20.0) -> Outcome:
    bench = Bench(folder, folder / "data", "cpu", folder / "notes.jsonl", time.monotonic() + seconds)
    return run_part(
        Part("part", f"{HERE}:{work}" if ":" not in work else work, seconds), bench, lambda text: None
    )


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_what_a_part_noted_is_kept_however_it_ends(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    failed = outcome_of("notes_and_fails", tmp_path / "a")
    assert (failed.state, failed.notes[0], failed.tail) == (
        "failed",
        {"what": "first", "value": 1},
        ["before the end"],
    )
    assert failed.notes[1]["failed"] == "ValueError: no such card"
    hung = outcome_of("notes_and_hangs", tmp_path / "b", 1.0)
    assert (hung.state, hung.notes) == ("cut off", [{"what": "first", "value": 1}])
    lacking = outcome_of("no_such_package.room:work", tmp_path / "c")
    assert "lacks a package here: No module named 'no_such_package'" in lacking.notes[0]["failed"]


def hangs() -> None:
    time.sleep(600)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_process_that_hangs_is_ended_and_tells_where(capfd: pytest.CaptureFixture[str]) -> None:
    process = apart(hangs)
    with pytest.raises(RuntimeError, match="not done after 1 s"):
        ended(process, within=1)
    assert not process.is_alive()
    assert "in hangs" in capfd.readouterr().err


def test_why_there_is_no_cuda_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.version.cuda", "13.0")
    old = (
        "CUDA initialization: The NVIDIA driver on your system is too old (found version "
        "11040).\nPlease update"
    )
    assert (
        why_not([old])
        == "CUDA initialization: The NVIDIA driver on your system is too old (found version 11040)."
    )
    assert "no NVIDIA driver" in why_not([])


def test_parts_are_dropped_when_the_seconds_of_the_script_are_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu", "--dry", "--seconds", "0", "--out", str(tmp_path / "gpu.json")])
    for name in ("MODELYARD_HOME", "MODELYARD_CACHE"):
        monkeypatch.setenv(name, str(tmp_path))
    assert main() == 0
    assert {part["state"] for part in json.loads((tmp_path / "gpu.json").read_text())["parts"]} == {"dropped"}
    assert "the 0 s of the whole script were over" in capsys.readouterr().out


def test_memory_that_comes_free_later_is_held_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The holder before was killed, and the driver gives its memory back a moment after."""
    free, asked, room = [1 << 28], [0], 1 << 29

    def mem_get_info() -> tuple[int, int]:
        asked[0] += 1
        free[0] += 5 << 30 if asked[0] == 6 else 0
        return free[0], 8 << 30

    def empty(size: int, **named: object) -> int:
        free[0] -= size
        return size

    monkeypatch.setattr(memory, "SETTLED_S", 0.3)
    monkeypatch.setattr(torch.cuda, "mem_get_info", mem_get_info)
    monkeypatch.setattr(torch, "empty", empty)
    list(memory.fill(room))
    assert 0 <= free[0] - room <= 1 << 26
