"""What is known of a data set before any image is decoded."""

from __future__ import annotations

from modelyard.data.folder import FolderOptions, guess_shape
from modelyard.data.idx import holds_idx
from modelyard.data.imports import import_names, open_import
from modelyard.data.listing import list_images
from modelyard.data.names import BUILT_IN
from modelyard.files import full_path


def peek(name: str, options: FolderOptions) -> tuple[tuple[int, int, int], int] | None:
    """Shape (channels, height, width) of the images, very likely, and the number of classes; None: only decoding tells.

    Raises: DataError for a folder that is unfit.
    """
    if name in ("auto", *BUILT_IN):
        return ((3, 32, 32) if name == "cifar10" else (1, 28, 28)), 10
    if name in import_names():
        dataset = open_import(name, verify=False)
        return dataset.image_shape, len(dataset.classes)
    folder = full_path(name)
    if not folder.is_dir() or holds_idx(folder):
        return None
    listing = list_images(folder)
    return guess_shape(listing, options), len(listing.classes)
