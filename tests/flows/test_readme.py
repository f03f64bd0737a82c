"""The README's commands work, one after the other, from an empty store on."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.samples import modelyard
from tests.flows.command import ROOT, SMALL, environment_below


def readme_commands() -> list[list[str]]:
    """Words of each `modelyard` line in the README's list of commands, but for the one that ends
    with Ctrl-C.
    """
    section = (ROOT / "README.md").read_text().split("## Commands")[1].split("\n## ")[0]
    lines = re.findall(r"^    modelyard (.*)$", section, re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines if not line.startswith(("ui", "serve", "up"))]


def test_the_commands_of_the_readme_work(
    store: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`run` as a process of its own and with one small model; the others in this one, which saves their
    imports.
    """
    commands, environment = readme_commands(), environment_below(store, shared_cache)
    assert len(commands) >= 8
    monkeypatch.setenv("MODELYARD_CACHE", str(shared_cache))
    monkeypatch.chdir(store)
    for words in commands:
        if words[0] == "run":
            command = [
                sys.executable,
                "-m",
                "modelyard",
                *words,
                "-a",
                "rnn",
                *SMALL,
                "--set",
                "gates.every_class=false",
            ]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            code, said, complained = done.returncode, done.stdout, done.stderr
        else:
            code = modelyard(*words)
            said, complained = capsys.readouterr()
        assert code == 0, (words, complained)
        assert said.strip(), words
    assert (store / "sheet.png").stat().st_size > 10_000
