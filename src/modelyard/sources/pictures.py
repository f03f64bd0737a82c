"""A folder, archive, table or parquet file of images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import PIL

from modelyard.data.datasets import Dataset, OnProgress
from modelyard.data.options import FolderOptions
from modelyard.samples import Form
from modelyard.samples.names import IMAGE
from modelyard.sources.containers import containers_of, list_plain, list_unpacked
from modelyard.sources.folder import guess_form, read_folder
from modelyard.sources.found import check_options
from modelyard.sources.listing import Listing

DECODER = f"2, Pillow {PIL.__version__}"
"""A folder decoded by another one is decoded anew; count it up when `samples/image.py` reads any file
differently.
"""
HEEDED = frozenset(("height", "width", "channels", "fit", "white", "max_pixels"))


@dataclass(frozen=True, slots=True)
class Pictures:
    """Images that lie as they are, or containers of them, which are not unpacked for a look."""

    source: Path
    options: FolderOptions
    containers: list[Path]
    listing: Listing | None
    """None of containers."""

    @property
    def state(self) -> list[object]:
        """A change is told by names, sizes and times of the files, as make and git do."""
        told = [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in self.containers]
        return [told if self.listing is None else self.listing.fingerprint, DECODER]

    @property
    def notes(self) -> tuple[str, ...] | None:
        """Of the listing."""
        return None if self.listing is None else self.listing.notes

    def peek(self) -> tuple[Form, int] | None:
        """By the heads of some files."""
        listing = self.listing
        return None if listing is None else (guess_form(listing, self.options), len(listing.classes))

    def read(self, scratch: Path, on_progress: OnProgress) -> Dataset:
        """Decode every image. Raises: DataError."""
        listing = self.listing or list_unpacked(
            self.source, self.containers, scratch / "unpacked", self.options
        )
        return read_folder(listing, self.options, scratch, on_progress)


def find_pictures(source: Path, options: FolderOptions) -> Pictures:
    """Raises: DataError for what holds no images that are sorted into classes."""
    containers = containers_of(source)
    listing = None if containers else list_plain(source, options)
    check_options(source, options, HEEDED, IMAGE.many)
    return Pictures(source, options, containers, listing)
