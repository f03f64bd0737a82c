"""The packed form of a data set on disk: arrays that are mapped into memory, and a header."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np

from modelyard.data.datasets import UNKNOWN, Dataset, Split, make_dataset
from modelyard.data.splits import TRUTH
from modelyard.errors import DataError
from modelyard.files import folder_written_whole, open_regular, write_json
from modelyard.samples import FORMS, Form, ImageForm

HEADER_FILE = "dataset.json"
PARTS = ("train", "test")


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
                dataset.form.write(scratch, part, split.blocks())
                np.save(scratch / f"{part}_labels.npy", split.labels_N)
        else:
            for name in _files(dataset.form):
                _link_or_copy(dataset.folder / name, scratch / name)
        header = {
            "name": dataset.name,
            "classes": dataset.classes,
            "digest": dataset.digest,
            "origin": dict(dataset.origin),
            "validation_rows": dataset.validation_rows,
            "reading": asdict(dataset.reading),
            "kind": dataset.form.kind,
            "form": asdict(dataset.form),
        }
        write_json(scratch / HEADER_FILE, header)
    return open_packed(folder, verify=False)


def _is_shared(dataset: Dataset, folder: Path) -> bool:
    """Whether `folder` holds the very files of `dataset`, which was verified when it was opened or made."""
    try:
        return dataset.folder is not None and all(
            (folder / name).samefile(dataset.folder / name) for name in _files(dataset.form)
        )
    except OSError:
        return False


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # another disk, or a file system without links
        shutil.copyfile(source, target)


def open_packed(folder: Path, *, verify: bool = True) -> Dataset:
    """Open a packed data set, memory-mapped.

    verify: read all of it and compare the digest; leave out only what this run has verified already.
    Raises: DataError when the folder is incomplete or its content was altered.
    """
    try:
        open_regular(folder / HEADER_FILE).close()
        header = json.loads((folder / HEADER_FILE).read_text())
        kind = FORMS[header.get("kind", ImageForm.kind)]
        for file in _files(kind):
            open_regular(folder / file).close()
        train, test = (_open_split(folder, part, kind, header.get("form")) for part in PARTS)
        name, classes, digest = header["name"], tuple(header["classes"]), header["digest"]
        given, kept = (
            int(header.get("validation_rows", 0)),
            header.get("reading"),
        )  # earlier versions had neither
        reading = train.form.reading(train.few) if kept is None else kind.reading_from_json(kept)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"packed data set {folder} cannot be read ({error}); delete the folder and run again"
        ) from error
    if verify:
        try:
            found = make_dataset(name, train, test, classes, validation_rows=given, reading=reading).digest
            fault = "" if found == digest else f"expected digest {digest[:12]}, found {found[:12]}"
        except DataError as error:
            fault = str(error)
        if fault:
            raise DataError(
                f"packed data set {folder}: {fault}; it was altered, delete the folder and run again"
            )
    return Dataset(name, train, test, classes, digest, header.get("origin", {}), folder, given, reading)


UNLABELLED = "unlabelled"
"""Part of a folder that holds samples without labels, and nothing else."""


def pack_unlabelled(split: Split, folder: Path) -> None:
    """Have its samples in `folder`, whole or not at all."""
    if folder.exists():
        return
    with folder_written_whole(folder) as scratch:
        split.form.write(scratch, UNLABELLED, split.blocks())
        write_json(scratch / HEADER_FILE, {"kind": split.form.kind, "form": asdict(split.form)})


def open_unlabelled(folder: Path) -> Split:
    """As `pack_unlabelled` left it, memory-mapped. Raises: DataError."""
    try:
        header = json.loads((folder / HEADER_FILE).read_text())
        samples = FORMS[header["kind"]].open(folder, UNLABELLED, header["form"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder} cannot be read ({error}); delete the folder and run again") from error
    unknown_N = np.full(len(samples), UNKNOWN, np.int64)
    return Split(samples, unknown_N, None, {TRUTH: unknown_N})


def unlabelled_digest(split: Split) -> str:
    """sha256 over its decoded samples."""
    digest = hashlib.sha256(json.dumps([len(split), *split.samples.shape[1:]]).encode())
    for block in split.blocks():
        for part in split.form.content(block):
            digest.update(part)
    return digest.hexdigest()


def _files(form: Form | type[Form]) -> tuple[str, ...]:
    """All arrays of a data set of such samples."""
    return tuple(name for part in PARTS for name in (*form.files(part), f"{part}_labels.npy"))


def _open_split(folder: Path, part: str, kind: type[Form], form: object) -> Split:
    samples = kind.open(folder, part, form)
    labels_N = np.load(folder / f"{part}_labels.npy", allow_pickle=False)
    return Split(samples, labels_N)
