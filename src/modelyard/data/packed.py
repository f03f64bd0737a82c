"""The packed form of a data set on disk: arrays that are mapped into memory, and a header."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

import numpy as np

from modelyard.data.datasets import Dataset, Samples, Split, make_dataset
from modelyard.errors import DataError
from modelyard.files import folder_written_whole, open_regular, write_json
from modelyard.samples import Form
from modelyard.samples.borders import border_colour
from modelyard.samples.reading import AS_EVER, Reading

HEADER_FILE = "dataset.json"
ARRAY_FILES = ("train_images.npy", "train_labels.npy", "test_images.npy", "test_labels.npy")


def pack(dataset: Dataset, folder: Path) -> Dataset:
    """Have the data set in `folder` as memory-mappable arrays, whole or not at all; gives it as opened from
    there.

    Arrays that lie on disk already share their blocks where the file system can; a folder that is there is
    verified.
    Raises: DataError when that one was altered.
    """
    if folder.exists():
        return open_packed(folder, verify=not _is_shared(dataset, folder))
    with folder_written_whole(folder) as scratch:
        if dataset.folder is None:
            for part, split in (("train", dataset.train), ("test", dataset.test)):
                write_samples(scratch, part, dataset.form, split.blocks())
                np.save(scratch / f"{part}_labels.npy", split.labels_N)
        else:
            for name in ARRAY_FILES:
                _link_or_copy(dataset.folder / name, scratch / name)
        header = {
            "name": dataset.name,
            "classes": dataset.classes,
            "digest": dataset.digest,
            "origin": dict(dataset.origin),
            "validation_rows": dataset.validation_rows,
            "reading": asdict(dataset.reading),
        }
        write_json(scratch / HEADER_FILE, header)
    return open_packed(folder, verify=False)


def _is_shared(dataset: Dataset, folder: Path) -> bool:
    """Whether `folder` holds the very files of `dataset`, which was verified when it was opened or made."""
    try:
        return dataset.folder is not None and all(
            (folder / name).samefile(dataset.folder / name) for name in ARRAY_FILES
        )
    except OSError:
        return False


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # another disk, or a file system without links
        shutil.copyfile(source, target)


def write_samples(folder: Path, part: str, form: Form, blocks: Iterable[Samples]) -> None:
    """A split's file of however many samples come.

    Not through a memory map: there a full disk kills the process (SIGBUS).
    """
    count, shape = 0, form.blank(0).shape[1:]
    with (folder / f"{part}_images.npy").open("wb") as stream:
        _write_npy_header(stream, (count, *shape))
        for block in blocks:
            stream.write(np.ascontiguousarray(block).data)
            count += len(block)
        stream.seek(0)
        _write_npy_header(stream, (count, *shape))  # numpy pads it so that a longer count fits


def _write_npy_header(stream: BinaryIO, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})


def open_packed(folder: Path, *, verify: bool = True) -> Dataset:
    """Open a packed data set, memory-mapped.

    verify: read all of it and compare the digest; leave out only what this run has verified already.
    Raises: DataError when the folder is incomplete or its content was altered.
    """
    try:
        for file in (HEADER_FILE, *ARRAY_FILES):
            open_regular(folder / file).close()
        header = json.loads((folder / HEADER_FILE).read_text())
        train, test = (_open_split(folder, part) for part in ("train", "test"))
        name, classes, digest = header["name"], tuple(header["classes"]), header["digest"]
        given, kept = (
            int(header.get("validation_rows", 0)),
            header.get("reading"),
        )  # earlier versions had neither
        reading = (
            Reading(ground=border_colour(train.few) or AS_EVER.ground)
            if kept is None
            else Reading.from_json(kept)
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"packed data set {folder} cannot be read ({error}); delete the folder and run again"
        ) from error
    if (
        verify
        and (found := make_dataset(name, train, test, classes, validation_rows=given, reading=reading).digest)
        != digest
    ):
        raise DataError(
            f"packed data set {folder}: expected digest {digest[:12]}, found {found[:12]};"
            " it was altered, delete the folder and run again"
        )
    return Dataset(name, train, test, classes, digest, header.get("origin", {}), folder, given, reading)


def _open_split(folder: Path, part: str) -> Split:
    samples = np.load(folder / f"{part}_images.npy", mmap_mode="r", allow_pickle=False)
    labels_N = np.load(folder / f"{part}_labels.npy", allow_pickle=False)
    return Split(samples, labels_N)
