"""What alias files say."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from modelyard.releases.pointers import read_pointers
from tests.serving.bundles import point

MOVES = 60
CLOCK_TICK_S = 0.005
"""Files written within one tick of the kernel's clock may share their stamp when an inode is used again."""


def test_a_pointer_never_has_the_version_of_one_file_and_the_stamp_of_another(tmp_path: Path) -> None:
    (tmp_path / "fruit").mkdir()
    point(tmp_path, "fruit", "champion", 1)

    def move() -> None:
        for version in range(2, MOVES + 2):
            time.sleep(CLOCK_TICK_S)
            point(tmp_path, "fruit", "champion", version)

    mover = threading.Thread(target=move)
    mover.start()
    versions: dict[tuple[int, int], set[str]] = {}
    while mover.is_alive():
        pointer = read_pointers(tmp_path)["fruit"]
        versions.setdefault(pointer.stamp, set()).add(pointer.version)
    mover.join()
    assert len(versions) > MOVES / 2
    assert all(len(found) == 1 for found in versions.values())
