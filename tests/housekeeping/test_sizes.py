"""Sizes add up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from modelyard.home import Home
from modelyard.housekeeping.sizes import store_sizes


def test_every_byte_is_counted_once(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(store / "runs")
    for name, size in (
        ("steps/train-1/weights", 1000),
        ("releases/m/1/model.onnx", 200),
        ("locks/x.lock", 3),
        ("mlflow.db", 50),
    ):
        path = home.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
    os.link(home.root / "steps/train-1/weights", home.root / "steps/train-1/same")
    (store / "cache").mkdir()
    (store / "cache" / "packed").write_bytes(b"x" * 7)
    sizes = store_sizes(home)
    told = {name: size for name, size in sizes.items() if size}
    assert told == {"database": 50, "steps": 1000, "releases": 200, "other": 3, "total": 1253, "cache": 7}
    assert not any(store_sizes(Home(store / "nowhere"))[part] for part in ("total", "other", "database"))
