"""The memory that may be taken is the machine's or what a container leaves, whichever is less."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from modelyard.machine.memory import available_bytes

MB = 1_000_000
LAYOUTS = {
    "version 2": ("0::/job/part\n", "", ("memory.max", "memory.current")),
    "version 1": (
        "9:cpu:/\n4:memory:/job/part\n0::/\n",
        "memory",
        ("memory.limit_in_bytes", "memory.usage_in_bytes"),
    ),
}


def _write(folder: Path, files: tuple[str, str], limit: str, use: int, inactive: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in zip(
        (*files, "memory.stat"), (limit, str(use), f"anon 5\ninactive_file {inactive}"), strict=True
    ):
        (folder / name).write_text(value + "\n")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_tightest_limit_above_the_process_counts(layout: str, tmp_path: Path) -> None:
    text, controller, files = LAYOUTS[layout]
    membership, top = tmp_path / "membership", tmp_path / "groups" / controller
    membership.write_text(text)
    _write(top / "job", files, str(100 * MB), 70 * MB, 20 * MB)
    _write(top / "job" / "part", files, str(400 * MB), 60 * MB, 0)
    assert available_bytes(membership, tmp_path / "groups") == 50 * MB
    _write(top / "job", files, str(100 * MB), 170 * MB, 0)
    assert available_bytes(membership, tmp_path / "groups") == 0


def test_without_a_limit_it_is_the_machines(tmp_path: Path) -> None:
    membership, free = tmp_path / "membership", psutil.virtual_memory().available
    assert available_bytes(membership, tmp_path) == pytest.approx(free, rel=0.2)
    membership.write_text("0::/job\n")
    _write(tmp_path / "job", ("memory.max", "memory.current"), "max", 60 * MB, 0)
    assert available_bytes(membership, tmp_path) == pytest.approx(free, rel=0.2)
