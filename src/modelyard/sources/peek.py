"""What is known of a data set before any image is decoded."""

from __future__ import annotations

from modelyard.data.names import BUILT_IN
from modelyard.data.options import FolderOptions
from modelyard.files import full_path
from modelyard.samples import Form, ImageForm
from modelyard.sources.containers import containers_of, list_plain
from modelyard.sources.folder import guess_form
from modelyard.sources.idx import holds_idx
from modelyard.sources.imports import import_names, open_import


def peek(name: str, options: FolderOptions) -> tuple[Form, int] | None:
    """The samples' form, very likely, and the number of classes; None: only decoding tells.

    Raises: DataError for a folder that is unfit.
    """
    if name in ("auto", *BUILT_IN):
        return (ImageForm(3, 32, 32) if name == "cifar10" else ImageForm(1, 28, 28)), 10
    if name in import_names():
        dataset = open_import(name, verify=False)
        return dataset.form, len(dataset.classes)
    source = full_path(name)
    if not source.exists() or (source.is_dir() and holds_idx(source)) or containers_of(source):
        return None
    listing = list_plain(source, options)
    return guess_form(listing, options), len(listing.classes)
