"""A wheel holds all that the clone runs with, and says what is missing beside it."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from importlib.metadata import distributions, version
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import modelyard
from tests.cli.test_cli import run

ROOT = Path(__file__).parents[1]
DECLARED = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text())


def test_the_wheel_holds_every_file_of_both_packages(tmp_path: Path) -> None:
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    packages = {"modelyard": ROOT / "src" / "modelyard", "flows": ROOT / "flows"}
    files = {
        f"{name}/{path.relative_to(root).as_posix()}"
        for name, root in packages.items()
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {
        "modelyard/serving/page/index.html",
        "modelyard/serving/page/openapi.json",
        "flows/compare.py",
    } <= files
    assert names == files


def test_the_version_is_said_and_makes_no_store(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"modelyard {modelyard.__version__}\n"
    assert version("modelyard") == modelyard.__version__
    assert run("--help") == 0
    assert not (store / "runs").exists()


def test_a_server_without_its_extra_says_so(store: Path) -> None:
    start = "from modelyard.serving.__main__ import main; sys.exit(main(['--port', '0']))"
    script = f"import sys; sys.modules['httptools'] = None; {start}"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (
        2,
        "modelyard: the server needs httptools; install modelyard[serve]\n",
    )


def test_the_lock_has_what_its_packages_need_on_each_python() -> None:
    """`make` installs nothing that the lock does not name, and the lock was made on one Python."""
    locked = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    here = [found.requires or [] for found in distributions() if canonicalize_name(found.name) in locked]
    needed = {Requirement(line) for lines in here for line in lines if "extra ==" not in line}
    for python in DECLARED:
        there = {"python_version": python, "python_full_version": f"{python}.0"}
        wanted = {
            canonicalize_name(need.name)
            for need in needed
            if need.marker is None or need.marker.evaluate(there)
        }
        assert wanted - locked == set(), python
