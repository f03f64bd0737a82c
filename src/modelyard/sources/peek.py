"""What is known of a data set before any image is decoded."""

from __future__ import annotations

from modelyard.data.options import FolderOptions
from modelyard.files import full_path
from modelyard.samples import Form
from modelyard.sources.containers import containers_of, list_plain
from modelyard.sources.folder import guess_form
from modelyard.sources.idx import holds_idx
from modelyard.sources.imports import import_names, open_import
from modelyard.sources.known import AUTO, KNOWN, UNKNOWN, Traits
from modelyard.sources.named import is_here


def describe(dataset: str) -> Traits:
    """What the words for a data set tell of it, and the header of an imported one; a path tells nothing.

    `auto` stands for what it would be without the network. Raises: DataError for an import that cannot be
    opened.
    """
    name = next(filter(is_here, AUTO)) if dataset == "auto" else dataset
    if name in KNOWN:
        return KNOWN[name].traits
    if name in import_names():
        opened = open_import(name, verify=False)
        return Traits(name, form=opened.form, num_classes=len(opened.classes))
    return UNKNOWN


def peek(name: str, options: FolderOptions) -> tuple[Form, int] | None:
    """The samples' form, very likely, and the number of classes; None: only decoding tells.

    Raises: DataError for a folder that is unfit.
    """
    traits = describe(name)
    if traits.form is not None and traits.num_classes is not None:
        return traits.form, traits.num_classes
    source = full_path(name)
    if not source.exists() or (source.is_dir() and holds_idx(source)) or containers_of(source):
        return None
    listing = list_plain(source, options)
    return guess_form(listing, options), len(listing.classes)
