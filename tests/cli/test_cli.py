"""What a person sees at the command line when the input is wrong: one line, exit code 2, nothing written."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from modelyard.cli import app as cli


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
        (
            ["--preset", "fast"],
            "unknown preset 'fast': expected one of smoke, sprint, tiny, standard, quality",
        ),
        (["--set", "training.epoch=1"], "unknown recipe key 'training.epoch': did you mean training.epochs?"),
        (["--set", "training.epochs"], "--set expects key=value, received 'training.epochs'"),
        (
            ["--set", "training.optimizer.learning_rate=-1"],
            "training.optimizer.learning_rate: Input should be greater than 0",
        ),
        (["--device", "cuda"], "torch sees no CUDA device"),
        (["--dataset", "./nowhere", "--plan"], "no such folder"),
        (["--architecture", "none.py:Net"], "no such file"),
    ],
)
def test_wrong_words_are_one_line(
    arguments: list[str], expected: str, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
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


@pytest.mark.parametrize("command", [("run", "--plan"), ("sweep",)])
def test_l20_what_is_no_python_file_with_the_class_is_refused_alike(
    command: tuple[str, ...], store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (store / "net.py").write_text("import sys\nnumber = 1\n")
    (store / "ends.py").write_text("import sys\nsys.exit(0)\n")
    (store / "folder.py").mkdir()
    (store / "zero.py").symlink_to("/dev/zero")
    os.mkfifo(store / "fifo.py")
    with (store / "large.py").open("wb") as stream:
        stream.truncate(1 << 31)
    words = {
        "/etc/passwd:X": "expected path/to/file.py:ClassName",
        "/dev/zero:X": "expected path/to/file.py:ClassName",
        "net.py:": "expected path/to/file.py:ClassName",
        ":X": "expected path/to/file.py:ClassName",
        "net.py:a.b": "expected path/to/file.py:ClassName",
        "zero.py:X": "expected path/to/file.py:ClassName",
        "folder.py:X": "not a regular file",
        "fifo.py:X": "not a regular file",
        "large.py:X": "larger than",
        "net.py:Missing": "no class Missing",
        "net.py:number": "number is no class",
        "ends.py:X": "SystemExit",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(store)
        for word, expected in words.items():
            assert run(*command, "--dataset", "digits", "--architecture", word) == 2
            message = capsys.readouterr().err
            assert expected in message and message.count("\n") == 1, word


def test_l10_l13_lines_of_errors_and_of_bugs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], store: Path
) -> None:
    for words in (
        ["\x1b[31mx"],
        ["run", "--\x1b[31mx"],
        ["models", "show", "x\n\x1b[31m@1"],
        ["data", "show", "./" + "a" * 5000],
    ):
        assert run(*words) == 2
        assert "\x1b" not in capsys.readouterr().err

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("at http://me:secret@host \x1b[31m")

    monkeypatch.setattr("modelyard.inference.files.Asked", broken)
    assert run("predict", "x.png") == 1
    message = capsys.readouterr().err
    assert "Traceback" in message and r"RuntimeError: at http://host \x1b[31m" in message
