"""The command line as the tests of this folder call it."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from modelyard import cli
from modelyard.home import Home


@pytest.fixture
def models(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """`modelyard models ...` on the test's `home`: exit code, stdout, stderr."""
    monkeypatch.setenv("MODELYARD_HOME", str(home.root))

    def command(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["modelyard", "models", *words])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        out, err = capsys.readouterr()
        return int(stopped.value.code or 0), out, err

    return command
