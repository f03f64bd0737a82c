"""IDX files that are damaged, altered or do not belong together are told apart."""

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from modelyard.errors import DataError
from modelyard.sources.idx import read_idx
from tests.data.samples import idx_bytes, idx_folder, modelyard


def test_gzipped_or_not_the_array_is_the_same(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 255, (3, 4, 5), np.uint8)
    for content in (idx_bytes(array), gzip.compress(idx_bytes(array))):
        (tmp_path / "x").write_bytes(content)
        np.testing.assert_array_equal(read_idx(tmp_path / "x", num_axes=3, digest=None), array)


@pytest.mark.fault("an IDX file is damaged", how="too short, too long, no header, a cut or false gzip")
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (bytes((0, 0, 8, 1, 0, 0, 0, 9, 1, 2)), "expected 9 bytes after the header, found 2; fetch it again"),
        (bytes((0, 0, 8, 1, 0, 0, 0, 1, 1, 2)), "expected 1 bytes after the header, found 2"),
        (bytes((0, 0, 8, 3, 0, 0, 0, 9)), "expected an IDX file of bytes with 1 axes, found 00000803"),
        (b"", "expected an IDX file of bytes with 1 axes, found nothing"),
        (
            gzip.compress(idx_bytes(np.arange(99, dtype=np.uint8)), mtime=0)[:40],
            "the file is truncated or damaged, fetch it again",
        ),
        (b"\x1f\x8bnot really gzip", "the file is truncated or damaged"),
    ],
)
def test_damaged_files_are_refused(content: bytes, expected: str, tmp_path: Path) -> None:
    (tmp_path / "labels").write_bytes(content)
    with pytest.raises(DataError, match="labels: ") as refused:
        read_idx(tmp_path / "labels", num_axes=1, digest=None)
    assert expected in str(refused.value)


@pytest.mark.fault(
    "IDX files with other content under a known name", how="well-formed files of random pixels"
)
def test_altered_idx_file_is_named(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    idx_folder(store / "data" / "mnist")
    monkeypatch.setenv("MODELYARD_DATA", str(store / "data"))
    assert modelyard("run", "--plan", "--dataset", "mnist") == 2
    assert "train-labels-idx1-ubyte: expected content sha256 65a50cbbf4e9" in capsys.readouterr().err
    assert not (store / "cache" / "datasets").exists()


def test_files_that_do_not_belong_together_are_refused(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = idx_folder(store / "idx", labels=19)
    assert modelyard("data", "import", str(root)) == 2
    assert (
        "train-images-idx3-ubyte.gz: 20 images but 19 labels; the files do not belong together"
        in capsys.readouterr().err
    )
    (root / "t10k-labels-idx1-ubyte").unlink()
    idx_folder(root, labels=20).joinpath("t10k-labels-idx1-ubyte").unlink()
    assert modelyard("data", "import", str(root)) == 2
    assert (
        "expected t10k-labels-idx1-ubyte or t10k-labels-idx1-ubyte.gz beside the other files"
        in capsys.readouterr().err
    )


def test_labels_without_a_class_are_refused(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = idx_folder(store / "idx", classes=5)
    (root / "classes.txt").write_text("cat\ndog\n")
    assert modelyard("data", "import", str(root)) == 2
    assert (
        "idx train: expected labels in 0..1, one for each class name, found 0..4" in capsys.readouterr().err
    )


def header(*shape: int) -> bytes:
    return bytes((0, 0, 8, len(shape))) + struct.pack(f">{len(shape)}I", *shape)


@pytest.mark.fault(
    "an IDX file whose header lies",
    how="sizes that wrap, are zero or beyond memory; gzip that unpacks to more",
)
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (header(2**31, 2**31, 4), "expected 18446744073709551616 bytes after the header, found 0"),
        (
            gzip.compress(header(2**31, 2**31, 4), mtime=0),
            "expected 18446744073709551616 bytes after the header",
        ),
        (header(20, 0, 0), "expected images and pixels, its header says 20 x 0 x 0"),
        (header(0, 6, 5), "expected images and pixels, its header says 0 x 6 x 5"),
        (
            gzip.compress(header(1, 2, 3) + bytes(50_000_000), 1, mtime=0),
            "expected 6 bytes after the header, it is shorter or longer",
        ),
    ],
)
def test_m8_l11_sizes_are_bounded_before_anything_is_read(
    content: bytes, expected: str, tmp_path: Path
) -> None:
    (tmp_path / "images").write_bytes(content)
    with pytest.raises(DataError, match="images: ") as refused:
        read_idx(tmp_path / "images", num_axes=3, digest=None)
    assert expected in str(refused.value)


def test_m8_a_sparse_file_beyond_memory_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "images").open("wb") as stream:
        stream.write(header(10**6, 1000, 1000))
        stream.truncate(16 + 10**12)
    with pytest.raises(DataError, match=r"needs 1000\.0 GB of memory"):
        read_idx(tmp_path / "images", num_axes=3, digest=None)


@pytest.mark.fault(
    "IDX files that are no files", how="a FIFO, a device, a socket's folder, in every one's place"
)
@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte", "classes.txt"])
@pytest.mark.parametrize("kind", ["fifo", "device", "folder"])
def test_m8_l11_what_is_no_regular_file_is_one_line(
    name: str, kind: str, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = idx_folder(store / "idx") / name
    path.with_name(f"{name}.gz").unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    {"fifo": os.mkfifo, "device": lambda there: there.symlink_to("/dev/zero"), "folder": os.mkdir}[kind](path)
    assert modelyard("data", "import", str(store / "idx")) == 2
    message = capsys.readouterr().err
    assert f"{name}: " in message and "not a regular file" in message and message.count("\n") == 1


@pytest.mark.parametrize(
    "names", [b"cat\n\x1b[31mdog\n", b"cat\n\xff\n", b"cat\n" + b"x" * 256, "cat\n\u202edog".encode()]
)
def test_l11_class_names_of_a_file_are_checked(
    names: bytes, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (idx_folder(store / "idx") / "classes.txt").write_bytes(names)
    assert modelyard("data", "import", str(store / "idx")) == 2
    message = capsys.readouterr().err
    assert (
        "class name" in message
        and "expected 1 to 255 printable characters" in message
        and "\x1b" not in message
    )
