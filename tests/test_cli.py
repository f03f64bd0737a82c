"""What a person sees at the command line when the input is wrong: one line, exit code 2, nothing written."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from modelyard import cli


def run(*arguments: str) -> int:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stopped:
        patch.setattr(sys, "argv", ["modelyard", *arguments])
        cli.main()
    return int(stopped.value.code or 0)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODELYARD_HOME", str(tmp_path / "runs"))
    monkeypatch.setenv("MODELYARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MODELYARD_DATA", raising=False)
    return tmp_path


def image_folder(folder: Path, classes: dict[str, int]) -> Path:
    generator = np.random.default_rng(0)
    for name, count in classes.items():
        (folder / name).mkdir(parents=True)
        for index in range(count):
            Image.fromarray(generator.integers(0, 255, (13, 11), np.uint8)).save(folder / name / f"{index}.png")
    return folder


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--dataset", "mnits", "--plan"], "unknown data set 'mnits': expected auto, digits, mnist"),
        (["--architecture", "cnm"], "unknown architecture 'cnm': expected one of cnn, rnn, transformer"),
        (["--preset", "fast"], "unknown preset 'fast': expected one of smoke, standard, quality"),
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


@pytest.mark.parametrize(
    ("classes", "expected"), [({"a": 9}, "has one class (a)"), ({}, "holds no images"), ({"a": 9, "b": 3}, "too few: b (3)")]
)
def test_unfit_folders_are_refused(
    classes: dict[str, int], expected: str, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = image_folder(store / "images", classes)
    folder.mkdir(exist_ok=True)
    assert run("run", "--dataset", str(folder), "--plan") == 2
    assert expected in capsys.readouterr().err


def test_text_called_png_is_listed_and_can_be_skipped(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = image_folder(store / "images", {"a": 9, "b": 9})
    (folder / "a" / "note.png").write_text("not an image")
    assert run("data", "show", str(folder)) == 2
    assert "1 files are not readable images" in capsys.readouterr().err
    picture = store / "sheet.png"
    assert run("data", "show", str(folder), "--skip-unreadable", "--picture", str(picture)) == 0
    assert "[1, 13, 11]" in capsys.readouterr().out
    assert picture.stat().st_size > 1000


def test_altered_idx_file_is_named(store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    folder = store / "data" / "mnist"
    folder.mkdir(parents=True)
    (folder / "train-images-idx3-ubyte").write_bytes(bytes((0, 0, 8, 3)) + bytes(12))
    monkeypatch.setenv("MODELYARD_DATA", str(store / "data"))
    assert run("data", "show", "mnist") == 2
    assert "train-images-idx3-ubyte: expected content sha256 ba891046e650" in capsys.readouterr().err


def test_doctor_and_empty_registry_tell_what_to_do(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("doctor") == 0
    assert "none yet; the first run makes it" in capsys.readouterr().out
    assert run("models", "list") == 0
    assert "start with: modelyard run" in capsys.readouterr().out
    assert run("predict", "x.png", "--model", "mnist@champion") == 2
    assert "no release 'mnist@champion'" in capsys.readouterr().err
