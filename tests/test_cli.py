"""What a person sees at the command line when the input is wrong: one line, exit code 2, nothing written."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from modelyard import cli


def run(*arguments: str) -> int:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stopped:
        patch.setattr(sys, "argv", ["modelyard", *arguments])
        cli.main()
    return int(stopped.value.code or 0)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--dataset", "mnits", "--plan"], "unknown data set 'mnits': expected auto, digits, mnist"),
        (["--architecture", "cnm"], "unknown architecture 'cnm': expected one of cnn, rnn, transformer"),
        (["--preset", "fast"], "unknown preset 'fast': expected one of smoke, sprint, tiny, standard, quality"),
        (["--set", "training.epoch=1"], "unknown recipe key 'training.epoch': did you mean training.epochs?"),
        (["--set", "training.epochs"], "--set expects key=value, received 'training.epochs'"),
        (["--set", "training.optimizer.learning_rate=-1"], "training.optimizer.learning_rate: Input should be greater than 0"),
        (["--device", "cuda"], "torch sees no CUDA device"),
        (["--dataset", "./nowhere", "--plan"], "no such folder"),
        (["--architecture", "none.py:Net"], "no such file"),
    ],
)
def test_wrong_words_are_one_line(arguments: list[str], expected: str, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if "cuda" in arguments:
        import torch

        if torch.cuda.is_available():
            pytest.skip("this machine has CUDA")
    assert run("run", *arguments) == 2
    message = capsys.readouterr().err
    assert expected in message
    assert message.count("\n") == 1
    assert not (store / "runs" / "mlflow.db").exists()


def test_doctor_and_empty_registry_tell_what_to_do(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("doctor") == 0
    assert "none yet; the first run makes it" in capsys.readouterr().out
    assert run("models", "list") == 0
    assert "start with: modelyard run" in capsys.readouterr().out
    assert run("predict", "x.png", "--model", "mnist@champion") == 2
    assert "no release 'mnist@champion'" in capsys.readouterr().err
