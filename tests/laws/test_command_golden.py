"""The command line stays: each command's options and defaults, and the keys and types of each `--json`
answer.

Not what `run`, `sweep` and `schedule` answer: that takes a training or a Prefect server (tests of the flows).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import typer
from PIL import Image
from typer.testing import CliRunner

from modelyard.cli.app import app
from modelyard.console import plan
from modelyard.training.trial import Cost
from tests.blank import former_store
from tests.laws import golden

ASKED = (
    "run -d digits -a cnn --preset tiny --plan", "doctor", "doctor --relocate", "status", "alerts list",
    "data list", "data show digits", "data drift "
"digits@champion digits", "models list", "models show digits@1",
    "models history digits", "models history digits --verify", "models history digits --at 2026-11-28",
    "models diff digits@1 digits@2", "models repair --dry-run", "predict FOLDER/digit.png -m digits",
    "repository export FOLDER/repository", "store show", "gc --older-than 0s --dry-run",
    "store share --off", "store upgrade", "sync --quiet", "store backup FOLDER/backup.tar",
)  # fmt: skip
"""With `--json`, one after the other on a store that an earlier commit made."""
TOLD = (
    "secondary_opts",
    "default",
    "metavar",
    "required",
    "multiple",
    "nargs",
    "is_flag",
    "min",
    "max",
    "hidden",
)
"""Of an option or argument; not its help, nor the name of the function's argument."""
USUAL = {
    "nargs": 1,
    "secondary_opts": [],
    "required": False,
    "multiple": False,
    "is_flag": False,
    "hidden": False,
}


def commands(command: Any, words: str = "modelyard") -> Iterator[tuple[str, dict[str, Any]]]:
    """Command -> option -> what is told of it, but for what most have."""
    yield words, {" ".join(param.opts): _told(vars(param)) for param in command.params}
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, f"{words} {name}")


def _told(param: dict[str, Any]) -> dict[str, Any]:
    """JSON has no paths and tuples."""
    values = json.loads(json.dumps({name: param.get(name) for name in TOLD}, default=str))
    return {name: value for name, value in values.items() if value != USUAL.get(name)}


def serving_options(folder: Path) -> dict[str, Any]:
    """Option -> placeholder and default of `python -m modelyard.serving`, as its help tells them."""
    environment = os.environ | {"COLUMNS": "1000", "MODELYARD_HOME": str(folder)}
    command = [sys.executable, "-P", "-m", "modelyard.serving", "--help"]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    options = re.findall(r"^  (?:-\w, )?(--[\w-]+)(?: ([A-Z_]+))?(?:\n +|  +)(.*)$", told, re.MULTILINE)
    defaults = {name: re.findall(r"default: (.*)\)$", text) for name, _, text in options}
    defaults |= {"--releases": ["RELEASES"], "--workers": ["CORES"]}
    return {name: [metavar, *defaults[name]] for name, metavar, _ in options}


def shape(value: Any) -> Any:
    """Keys and types: a list has the different shapes of its elements."""
    if isinstance(value, dict):
        return {key: shape(one) for key, one in value.items()}
    if isinstance(value, list):
        return [json.loads(text) for text in sorted({json.dumps(shape(one)) for one in value})]
    return type(value).__name__


def answers(folder: Path) -> dict[str, Any]:
    """Words -> exit code, and the shape of each JSON document on stdout."""
    home = former_store(folder, "2f58f3d")
    (home.logs / "run-ended.log").touch()
    os.utime(home.logs / "run-ended.log", (0, 0))  # what may go
    with np.load(home.releases / "digits" / "1" / "golden.npz") as samples:
        images_BHWC = next(samples[name] for name in samples.files if samples[name].dtype == np.uint8)
    Image.fromarray(images_BHWC[0, ..., 0]).save(folder / "digit.png")
    measured = [Cost(memory=1e9, seconds=1.0, evaluation=1e6)]  # a trial would take seconds
    with environment_of(home.root, folder / "cache"), patch.object(plan, "measure", lambda jobs: measured):
        told = {words: answer(words.replace("FOLDER", str(folder))) for words in ASKED}
        os.environ["MODELYARD_HOME"] = str(folder / "restored")
        return told | {"store restore": answer(f"store restore {folder}/backup.tar")}


def answer(words: str) -> list[Any]:
    """Exit code and shapes."""
    result = CliRunner().invoke(app, [*words.split(), "--json"])
    assert result.exception is None or isinstance(result.exception, SystemExit), (words, result.exception)
    documents: list[Any] = []
    text, decoder = result.stdout.strip(), json.JSONDecoder()
    while text:
        document, end = decoder.raw_decode(text)
        documents, text = [*documents, shape(document)], text[end:].strip()
    return [result.exit_code, *documents]


@contextmanager
def environment_of(home: Path, cache: Path) -> Iterator[None]:
    """A command sets variables for the libraries below it; here they end with it."""
    before = dict(os.environ)
    for name in [name for name in before if name.startswith(("MODELYARD_", "MLFLOW_", "PREFECT_"))]:
        del os.environ[name]
    remote = "http://127.0.0.1:9"  # where nobody answers
    os.environ.update(
        MODELYARD_HOME=str(home), MODELYARD_CACHE=str(cache), MODELYARD_REMOTE=remote, COLUMNS="200"
    )
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def present(folder: Path) -> dict[str, Any]:
    """All of it."""
    options = dict(commands(typer.main.get_command(app)))
    return options | {"python -m modelyard.serving": serving_options(folder), "--json": answers(folder)}


def test_no_option_and_no_answer_of_the_command_line_moved(tmp_path: Path) -> None:
    assert list(golden.differences(golden.read("command"), present(tmp_path))) == []
