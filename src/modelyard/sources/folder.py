"""Decoding a folder of images: on all cores, each file once, memory bounded by `BLOCK_BYTES`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from modelyard.data.datasets import Dataset, OnProgress, Samples, Split, block_rows, make_dataset, unheard
from modelyard.data.ground import guess_forms, lies_on_ground, sampled, white_for, with_ground
from modelyard.data.options import FolderOptions
from modelyard.errors import DataError
from modelyard.machine.cores import usable_cores
from modelyard.samples.borders import border_colour
from modelyard.samples.image import (
    FileForm,
    TooLarge,
    UnreadableImage,
    pillow_warnings_hushed,
    read_form,
    read_image,
)
from modelyard.samples.image_form import ImageForm
from modelyard.samples.reading import AS_EVER, LEAST_SIDE, Reading
from modelyard.sources.containers import name_of
from modelyard.sources.listing import ImageFile, Listing, check_counts
from modelyard.sources.names import safe_name
from modelyard.sources.origin import origin_of, reading_notes
from modelyard.sources.sizes import size_notes, target_form
from modelyard.terminal.printable import listed

BLOCK_FILES = 1024
TASK_FILES = 16
"""Files a thread takes at once: handing over one small file costs as much as decoding it."""
SMALL_BYTES = 4096
"""Files below it are opened longer (Python, under its lock) than decoded: a second thread only contends."""


@dataclass(slots=True)
class _Decoded:
    """What became of the files of one split."""

    files: list[ImageFile]
    forms: list[FileForm]
    broken: list[str]
    too_large: list[str]


def read_folder(
    listing: Listing, options: FolderOptions, scratch: Path, on_progress: OnProgress = unheard
) -> Dataset:
    """Decode every image into packed arrays in `scratch`.

    All take the shape that the options or the majority of the files say. It is guessed from a sample, so that
    one pass suffices; where the majority of all is another, they are decoded again.
    Raises: DataError for unreadable files, or when leaving them out empties a class.
    """
    with pillow_warnings_hushed():
        parts, broken, reading = _decode_at_majority(listing, options, scratch, on_progress)
    check_counts(
        listing.source,
        listing.classes,
        [(parts[0].files, 2, "to train on"), (parts[1].files, 1, "to test on")],
    )
    train, test = (
        _split(part.files, scratch, name) for part, name in zip(parts, ("train", "test"), strict=True)
    )
    forms = [form for part in parts for form in part.forms]
    if not lies_on_ground(reading, forms):
        reading = replace(reading, ground=border_colour(train.few) or AS_EVER.ground)
    form = ImageForm(*train.samples.shape[1:])
    decoded = [*size_notes(forms, options), *reading_notes(reading, parts[0].forms, forms, form)]
    decoded += [f"{len(broken)} unreadable files left out: {listed(broken)}"] if broken else []
    origin = origin_of(forms) | {"unreadable files left out": broken, "how decoded": decoded}
    origin |= {"notes": [*listing.notes, *decoded]}
    given = sum(file.is_validation for file in parts[0].files)
    dataset = make_dataset(
        safe_name(name_of(listing.source)),
        train,
        test,
        listing.classes,
        validation_rows=given,
        reading=reading,
    )
    return replace(dataset, origin=origin, folder=scratch)


def _decode_at_majority(
    listing: Listing, options: FolderOptions, scratch: Path, on_progress: OnProgress
) -> tuple[list[_Decoded], list[str], Reading]:
    """Train and test, what could not be read of both, and how they are read; guessed first, like
    the shape.
    """
    paths = [listing.folder / file.path for file in listing.train]
    form = guess_form(listing, options)
    guessed = guess_forms(paths, form, options.max_pixels)
    reading = with_ground(Reading(options.fit, options.white or white_for(guessed)), paths, form, guessed)
    while True:
        parts = [
            decode(listing, part, (form, reading, options.max_pixels), scratch, on_progress)
            for part in ("train", "test")
        ]
        broken = sorted(reason for part in parts for reason in part.broken)
        forms = [form for part in parts for form in part.forms]
        if broken and not (options.skip_unreadable and forms):
            raise _refusal(listing.source, broken, [name for part in parts for name in part.too_large])
        found = target_form(forms, options)
        if min(found.size) < LEAST_SIDE:
            expected = (
                f"expected images of at least {LEAST_SIDE} x {LEAST_SIDE} pixels, received {found.width} "
                f"x {found.height}"
            )
            raise DataError(
                f"{listing.source}: {expected}; give larger ones, or --set data.height=8 --set data.width=8"
            )
        settled = with_ground(
            Reading(options.fit, options.white or white_for(parts[0].forms)), paths, found, forms
        )
        if (found, settled) == (form, reading):
            return parts, broken, reading
        form, reading = found, settled


def guess_form(listing: Listing, options: FolderOptions) -> ImageForm:
    """What all images will very likely be brought to, from the heads of some
    files.
    """
    files = [*listing.train, *listing.test]
    return target_form(list(sampled(files, lambda file: read_form(listing.folder / file.path))), options)


def _refusal(folder: Path, broken: Sequence[str], too_large: Sequence[str]) -> DataError:
    if too_large:
        remedy = "allow more (--set data.max_pixels=...), scale them down or pass --skip-unreadable"
        return DataError(f"{folder}: {len(too_large)} images are too large: {listed(too_large)}; {remedy}")
    told = f"{len(broken)} files are not readable images: {listed(broken)}"
    return DataError(f"{folder}: {told}; mend them or pass --skip-unreadable")


def decode(
    listing: Listing, part: str, how: tuple[ImageForm, Reading, int], scratch: Path, on_progress: OnProgress
) -> _Decoded:
    """All files of a split that can be read, in one form, read in one way, up to so many pixels."""
    form = how[0]
    files: tuple[ImageFile, ...] = getattr(listing, part)
    decoded = _Decoded([], [], [], [])

    def blocks() -> Iterator[Samples]:
        rows = min(BLOCK_FILES, block_rows(form))
        is_small = sum(file.size for file in files) < SMALL_BYTES * len(files)
        with ThreadPoolExecutor(1 if is_small else usable_cores()) as pool:
            for start in range(0, len(files), rows):
                block = files[start : start + rows]
                tasks = [block[first : first + TASK_FILES] for first in range(0, len(block), TASK_FILES)]
                answers = pool.map(
                    lambda task: [_try_read(listing.folder, file, how) for file in task], tasks
                )
                yield _sort_out([answer for task in answers for answer in task], block, decoded, form)
                on_progress(f"decoding {listing.source.name}, {part}", start + len(block), len(files))

    form.write(scratch, part, blocks())
    return decoded


def _try_read(
    folder: Path, file: ImageFile, how: tuple[ImageForm, Reading, int]
) -> tuple[FileForm, Samples] | UnreadableImage:
    try:
        return read_image(folder / file.path, *how)
    except UnreadableImage as error:
        return error


def _sort_out(
    answers: Sequence[tuple[FileForm, Samples] | UnreadableImage],
    files: Sequence[ImageFile],
    decoded: _Decoded,
    form: ImageForm,
) -> Samples:
    """Note what was read and what was not; the pixels that were, uint8 [B, C, H, W]."""
    images = []
    for file, answer in zip(files, answers, strict=True):
        if isinstance(answer, UnreadableImage):
            told = f"{file.path} ({answer.reason})"
            decoded.broken.append(told)
            decoded.too_large += [told] if isinstance(answer, TooLarge) else []
            continue
        decoded.files.append(file)
        decoded.forms.append(answer[0])
        images.append(answer[1])
    return np.stack(images) if images else form.blank(0)


def _split(files: Sequence[ImageFile], scratch: Path, part: str) -> Split:
    labels_N = np.array([file.label for file in files], np.int64)
    np.save(scratch / f"{part}_labels.npy", labels_N)
    return Split(np.load(scratch / f"{part}_images.npy", mmap_mode="r"), labels_N)
