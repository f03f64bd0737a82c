"""Pictures of which no class is told: a folder of them, flat or nested."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from modelyard.data.datasets import UNKNOWN, Dataset, OnProgress, Split
from modelyard.data.options import FolderOptions
from modelyard.errors import DataError
from modelyard.samples import ImageForm
from modelyard.samples.image import pillow_warnings_hushed
from modelyard.samples.scan import files_below, status_of
from modelyard.sources.folder import decode
from modelyard.sources.found import Unsorted
from modelyard.sources.listing import ImageFile, Listing
from modelyard.terminal.printable import listed


def unsorted_pictures(
    source: Path, like: Dataset, options: FolderOptions, scratch: Path, on_progress: OnProgress
) -> Unsorted:
    """In the size of the data set `like`, and read as its files were. Raises: DataError."""
    paths, _ = files_below(source, "images", "pictures in it or below")
    stats = ((path.relative_to(source).as_posix(), status_of(str(path))) for path in paths)
    files = tuple(ImageFile(path, UNKNOWN, status.st_size, status.st_mtime_ns) for path, status in stats)
    listing = Listing(source, (), files, (), source=source)
    with pillow_warnings_hushed():
        decoded = decode(
            listing, "train", (like.form, like.reading, options.max_pixels), scratch, on_progress
        )
    if not decoded.files:
        raise DataError(f"{source}: none of {len(files)} images can be read: {listed(decoded.broken)}")
    told = f"{len(decoded.broken)} of {len(files)} left out, unreadable: {listed(decoded.broken)}"
    samples = ImageForm.open(scratch, "train", None)
    split = Split(samples, np.full(len(samples), UNKNOWN, np.int64))
    return Unsorted(split, [file.path for file in decoded.files], (told,) if decoded.broken else ())
