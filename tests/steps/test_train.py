"""Processes of ours: what they answer, and what they import."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.data.splits import DataConfig
from modelyard.errors import ConfigError
from modelyard.models import CnnConfig
from modelyard.steps import train
from modelyard.training.config import TrainingConfig
from modelyard.training.job import JOB_FILE, TrainJob, answers

ROOT = Path(__file__).parents[2]


@pytest.fixture
def output(capfd: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    """Standard output comes back, as a process of its own needs not."""
    kept = os.dup(1)
    yield capfd
    os.dup2(kept, 1)
    os.close(kept)


def test_only_answers_reach_the_parent(output: pytest.CaptureFixture[str]) -> None:
    with answers() as stream:
        os.write(1, b"an own module prints")
        print("the answer", file=stream)
    assert output.readouterr().out == "the answer\n"


@pytest.mark.parametrize(
    ("error", "told"),
    [(ValueError("two\nlines"), "ValueError: two lines"), (ConfigError("expected this"), "expected this")],
)
def test_whatever_ends_a_training_is_one_line(
    error: Exception,
    told: str,
    tmp_path: Path,
    output: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_given: object) -> None:
        raise error

    made = TrainJob(
        data_folder="",
        data=DataConfig(),
        model=CnnConfig(),
        training=TrainingConfig(),
        seed=0,
        device="cpu",
        checkpoint="",
    )
    (tmp_path / JOB_FILE).write_text(made.model_dump_json())
    monkeypatch.setattr(train, "run_job", fail)
    with contextlib.suppress(ValueError):
        assert train.serve(tmp_path) == 2
    assert json.loads(output.readouterr().out) == {"error": told}


@pytest.mark.parametrize("package", ["src", "flows"])
def test_no_process_of_ours_imports_from_the_current_folder(package: str) -> None:
    """Where somebody's architectures are called `random.py` or `queue.py`."""
    commands = [
        line
        for file in (ROOT / package).rglob("*.py")
        for line in re.findall(r'.*"-m", .*', file.read_text())
    ]
    started = [line for line in commands if "executable" in line or "python" in line]
    assert started
    assert [line for line in started if '"-P", "-m"' not in line] == []
