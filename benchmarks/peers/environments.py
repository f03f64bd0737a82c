"""One virtual environment for each server, made once below the cache folder; packages beside ours for
trainers.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from modelyard.home import cache_folder

FRAMEWORKS = {
    "lightning": ("pytorch-lightning==2.6.6", "lightning-utilities==0.15.3", "torchmetrics==1.9.0"),
    "fastai": (
        "fastai==2.8.12",
        "fastcore==2.2.39",
        "fasttransform==0.0.5",
        "fastprogress==1.0.3",
        "fastdownload==0.0.8",
        "plum-dispatch==2.10.1",
        "beartype==0.23.1",
    ),
}
"""What the training loops of other frameworks need beside our own environment."""


def environment_python(name: str, requirements: tuple[str, ...]) -> Path:
    """The interpreter of an environment with these packages; SystemExit with the installer's last words if it
    fails.
    """
    digest = hashlib.sha256(repr((sys.version, requirements)).encode()).hexdigest()[:12]
    folder = cache_folder() / "benchmark-environments" / f"{name.lower()}-{digest}"
    python = folder / "bin" / "python"
    if not (folder / "installed").exists():
        shutil.rmtree(folder, ignore_errors=True)
        print(f"making an environment for {name}: {', '.join(requirements)}", file=sys.stderr, flush=True)
        _uv("venv", "--python", sys.executable, str(folder))
        _uv("pip", "install", "--python", str(python), "--compile-bytecode", *requirements)
        (folder / "installed").touch()
    return python


def packages_beside(name: str) -> Path:
    """A folder with a framework's packages, for PYTHONPATH beside our own environment (torch is too large to
    have twice).
    """
    requirements = FRAMEWORKS[name]
    folder = (
        cache_folder()
        / "benchmark-environments"
        / f"{name}-{hashlib.sha256(repr(requirements).encode()).hexdigest()[:12]}"
    )
    if not (folder / "installed").exists():
        shutil.rmtree(folder, ignore_errors=True)
        print(f"installing {name}: {', '.join(requirements)}", file=sys.stderr, flush=True)
        _uv("pip", "install", "--python", sys.executable, "--target", str(folder), "--no-deps", *requirements)
        (folder / "installed").touch()
    return folder


def package_version(python: Path, package: str) -> str:
    """The installed version, as the report names it."""
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def _uv(*arguments: str) -> None:
    beside = Path(sys.executable).with_name("uv")
    done = subprocess.run(
        [beside if beside.exists() else "uv", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"uv {' '.join(arguments)} failed: {done.stderr.strip().splitlines()[-1]}")
