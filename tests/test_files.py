"""Nothing half-written, also where the disk is full: tried on a real file system of a few kilobytes."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from modelyard.errors import StoreError
from modelyard.files import (
    check_space,
    folder_written_whole,
    full_path,
    open_regular,
    read_regular,
    write_atomically,
)  # fmt: skip
from modelyard.seals import is_sealed, seal
from modelyard.training.checkpoint import load_checkpoint, save_checkpoint


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 64 KiB; only root may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a tmpfs")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.fault("the disk is full while a file is replaced", how="a tmpfs of 64 KiB")
def test_a_full_disk_keeps_the_old_file_and_leaves_no_other(small_disk: Path) -> None:
    target = small_disk / "state.json"
    write_atomically(target, b"old")
    with pytest.raises(
        StoreError, match=r"cannot write .*state\.json: No space left on device; free space or choose"
    ):
        write_atomically(target, bytes(100_000))
    assert [path.name for path in small_disk.iterdir()] == ["state.json"]
    assert target.read_bytes() == b"old"
    with pytest.raises(StoreError, match="is full"):
        check_space(small_disk)


@pytest.mark.fault("the disk is full while a checkpoint is written", how="a tmpfs of 64 KiB")
def test_a_full_disk_keeps_the_last_good_checkpoint(small_disk: Path) -> None:
    path, small = small_disk / "c.safetensors", torch.rand(3, 5)
    save_checkpoint(path, {"model.weight": small}, {"epoch": 1})
    with pytest.raises(StoreError, match="No space left on device"):
        save_checkpoint(path, {"model.weight": torch.rand(200, 200)}, {"epoch": 2})
    tensors, numbers = load_checkpoint(path)
    assert numbers == {"epoch": 1}
    assert torch.equal(tensors["model.weight"], small)


@pytest.mark.fault("the disk is full while a step's folder is written", how="a tmpfs of 64 KiB")
def test_a_full_disk_leaves_no_part_of_a_folder(small_disk: Path) -> None:
    with (
        pytest.raises(StoreError, match=r"cannot write .*step: \d+ requested and \d+ written; free space"),
        folder_written_whole(small_disk / "step") as scratch,
    ):
        np.save(scratch / "array.npy", np.zeros(100_000, np.uint8))
    assert list(small_disk.iterdir()) == []


def test_the_first_of_two_equal_folders_stays(tmp_path: Path) -> None:
    with folder_written_whole(tmp_path / "step") as late, folder_written_whole(tmp_path / "step") as early:
        (early / "f").write_text("early")
        (late / "f").write_text("late")
    assert (tmp_path / "step" / "f").read_text() == "early"
    assert [path.name for path in tmp_path.iterdir()] == ["step"]


@pytest.mark.fault("a file of a finished step is damaged", how="a file or the seal changed or removed")
@pytest.mark.parametrize("damage", ["missing", "altered", "unsealed"])
def test_a_seal_breaks_with_any_file(tmp_path: Path, damage: str) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    seal(tmp_path)
    assert is_sealed(tmp_path)
    if damage == "altered":
        (tmp_path / "a").write_text("b")
    else:
        (tmp_path / ("a" if damage == "missing" else "sha256.json")).unlink()
    assert not is_sealed(tmp_path)


@pytest.mark.parametrize("kind", ["fifo", "device", "socket", "folder", "link to a device", "link to itself"])
def test_m8_only_regular_files_are_opened(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(path))
    elif kind == "device":
        path = Path("/dev/zero")
    else:
        path.symlink_to("/dev/zero" if "device" in kind else path)
    with pytest.raises(OSError) as refused:
        open_regular(path)
    assert refused.value.strerror and refused.value.filename == str(path)


def test_m8_no_more_is_read_than_the_limit(tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("small")
    assert read_regular(tmp_path / "link", 5) == b"12345"
    with pytest.raises(OSError, match="larger than 4 bytes"):
        read_regular(tmp_path / "small", 4)
    with (tmp_path / "sparse").open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(OSError, match="larger than 1000 bytes"):
        read_regular(tmp_path / "sparse", 1000)


def test_l11_paths_that_name_nothing_stay_paths(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert full_path(tmp_path / "loop") == tmp_path / "loop"
    assert full_path("~no-such-user/x").name == "x"
