"""What is known of a data set before it is read."""

from __future__ import annotations

from modelyard.data.options import FolderOptions
from modelyard.files import full_path
from modelyard.samples import Form
from modelyard.sources.idx import holds_idx
from modelyard.sources.imports import import_names, is_named, open_import
from modelyard.sources.kinds import find, kind_at
from modelyard.sources.known import AUTO, KNOWN, UNKNOWN, Traits
from modelyard.sources.named import is_here


def describe(dataset: str, options: FolderOptions | None = None) -> Traits:
    """What the words for a data set tell of it, and the header of an imported one; a path tells the kind.

    `auto` stands for what it would be without the network. Raises: DataError for an import that cannot be
    opened.
    """
    name = next(filter(is_here, AUTO)) if dataset == "auto" else dataset
    if name in KNOWN:
        return KNOWN[name].traits
    if name in import_names():
        opened = open_import(name, verify=False)
        return Traits(name, kind=opened.form.kind, form=opened.form, num_classes=len(opened.classes))
    return Traits(kind=kind_at(full_path(name), options or FolderOptions())) if name else UNKNOWN


def peek(name: str, options: FolderOptions) -> tuple[Form, int] | None:
    """The samples' form, very likely, and the number of classes; None: only reading tells.

    Raises: DataError for a folder that is unfit.
    """
    if is_named(name):
        traits = describe(name)
        if traits.form is None or traits.num_classes is None:
            return None
        return traits.form, traits.num_classes
    source = full_path(name)
    if not source.exists() or (source.is_dir() and holds_idx(source)):
        return None
    return find(source, options).peek()
