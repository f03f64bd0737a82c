"""CIFAR-10 is read from its binary version wherever it lies, and nothing else is touched."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from modelyard.errors import DataError
from modelyard.samples import ImageForm
from modelyard.sources import cifar
from modelyard.sources.cifar import read_cifar
from modelyard.sources.sources import load_dataset
from tests.data.samples import CIFAR_CLASSES, cifar_files, modelyard, tar_gz


def write(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def test_all_three_layouts_give_the_same_pixels(tmp_path: Path) -> None:
    files = cifar_files()
    write(tmp_path / "direct", files)
    write(tmp_path / "below" / "cifar-10-batches-bin", files)
    archive = tar_gz({f"cifar-10-batches-bin/{name}": content for name, content in files.items()})
    write(tmp_path / "archive", {"cifar-10-binary.tar.gz": archive})
    loaded = [read_cifar(tmp_path / name) for name in ("direct", "below", "archive")]
    assert len({dataset.digest for dataset in loaded}) == 1
    dataset = loaded[0]
    assert (dataset.classes, len(dataset.train), len(dataset.test)) == (tuple(CIFAR_CLASSES), 100, 20)
    record = np.frombuffer(files["data_batch_2.bin"], np.uint8)[3073 : 2 * 3073]
    assert dataset.train.labels_N[21] == record[0]
    np.testing.assert_array_equal(dataset.train.samples[21], record[1:].reshape(3, 32, 32))


def test_it_is_found_in_the_data_folder(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(store / "data" / "cifar10", cifar_files())
    monkeypatch.setenv("MODELYARD_DATA", str(store / "data"))
    assert load_dataset("cifar10").form == ImageForm(3, 32, 32)
    assert load_dataset("cifar10").origin == {"source": str(store / "data" / "cifar10")}


def test_a_path_in_the_archive_leads_nowhere(tmp_path: Path) -> None:
    files = {f"../../{name}": content for name, content in cifar_files().items()}
    write(tmp_path / "a" / "b", {"cifar-10-binary.tar.gz": tar_gz(files)})
    assert len(read_cifar(tmp_path / "a" / "b").test) == 20
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["cifar-10-binary.tar.gz"]


def test_damaged_files_are_refused(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MODELYARD_DATA", str(store / "data"))
    folder = write(store / "data" / "cifar10", cifar_files() | {"data_batch_3.bin": b"\0" * 3072})
    assert modelyard("run", "--plan", "--dataset", "cifar10") == 2
    assert (
        "data_batch_3.bin: expected records of 3073 bytes, found 3072 bytes; it is truncated"
        in capsys.readouterr().err
    )
    write(folder, {"data_batch_3.bin": b"\x0b" + bytes(3072)})
    with pytest.raises(
        DataError, match=r"cifar10 train: expected labels in 0\.\.9, one for each class name, found 0\.\.11"
    ):
        load_dataset("cifar10")
    (folder / "data_batch_3.bin").unlink()
    with pytest.raises(DataError, match=r"expected data_batch_3\.bin beside the other files"):
        load_dataset("cifar10")
    half = write(store / "half", {"cifar-10-binary.tar.gz": tar_gz(cifar_files())[:5000]})
    with pytest.raises(DataError, match="a file is truncated or damaged, fetch it again"):
        read_cifar(half)


def test_m8_no_pipe_and_no_bomb_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "direct", cifar_files())
    (folder / "data_batch_2.bin").unlink()
    os.mkfifo(folder / "data_batch_2.bin")
    with pytest.raises(DataError, match="not a regular file"):
        read_cifar(folder)
    monkeypatch.setattr(cifar, "MOST_BYTES", 100_000)
    write(tmp_path / "bomb", {"cifar-10-binary.tar.gz": tar_gz({"bomb": bytes(10_000_000)})})
    with pytest.raises(DataError, match="unpacks to more than 100000 bytes"):
        read_cifar(tmp_path / "bomb")
    monkeypatch.undo()
    holes = {"data_batch_2.bin": {"GNU.sparse.map": "0,1", "GNU.sparse.size": str(2**45)}}
    write(
        tmp_path / "holes",
        {"cifar-10-binary.tar.gz": tar_gz(cifar_files() | {"data_batch_2.bin": b"x"}, holes)},
    )
    with pytest.raises(DataError, match=r"expected data_batch_2\.bin beside the other files"):
        read_cifar(tmp_path / "holes")
