"""The size that all images of a folder are brought to: the majority's, but photos are made smaller."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from modelyard.data.options import FolderOptions
from modelyard.samples.image import FileForm
from modelyard.samples.image_form import ImageForm

LONGEST = 128
"""Pixels of the longer side that photos are brought to where nobody says another size."""
LEAST, MOST = 4, 4096
"""Pixels of a side that follows from the other, however long a panorama is."""


def target_form(forms: Sequence[FileForm], options: FolderOptions) -> ImageForm:
    """That of all images."""
    if not forms:  # nothing in the sample could be read: the whole pass tells
        return ImageForm(1, 1, 1)
    channels, _ = Counter(form.channels for form in forms).most_common(1)[0]
    return ImageForm(options.channels or channels, *_target_size(_majority(forms), options))


def _majority(forms: Sequence[FileForm]) -> tuple[int, int]:
    """Height and width of most files; of two equally frequent sizes the first."""
    return Counter((form.height, form.width) for form in forms).most_common(1)[0][0]


def _target_size(majority: tuple[int, int], options: FolderOptions) -> tuple[int, int]:
    """Height and width: as asked, else the majority's; a larger one is brought to the champion's or to
    `LONGEST`.
    """
    height, width = majority
    if max(majority) <= LONGEST:
        return options.height or height, options.width or width
    if options.size_before and not (options.height or options.width):
        return options.size_before
    scale = (
        options.height / height
        if options.height
        else options.width / width
        if options.width
        else LONGEST / max(majority)
    )
    follows = [min(MOST, max(min(side, LEAST), round(side * scale))) for side in majority]
    return options.height or follows[0], options.width or follows[1]


def size_notes(forms: Sequence[FileForm], options: FolderOptions) -> list[str]:
    """What was done to photos, and how to have it otherwise."""
    majority = _majority(forms)
    height, width = _target_size(majority, options)
    if max(majority) <= LONGEST or (options.height and options.width):
        return []
    asked = options.height or options.width
    why = (
        "as asked"
        if asked
        else "the champion's size"
        if options.size_before
        else f"the longer side {LONGEST}"
    )
    return [
        f"the usual size is {majority[1]} x {majority[0]} pixels; all are brought to {width} x "
        f"{height} ({why});"
        f" for another size: --set data.height={2 * height} --set data.width={2 * width} (data "
        "import: --height, --width)"
    ]
