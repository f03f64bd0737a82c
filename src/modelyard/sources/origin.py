"""What people should know of a folder's files: how they were, and how they were read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Any

from modelyard.samples.image import FileForm
from modelyard.samples.image_form import ImageForm
from modelyard.samples.reading import FIT_WORDS, Reading, colour_name


def origin_of(forms: Sequence[FileForm]) -> dict[str, Any]:
    """How the files were before they were brought to one form."""
    sizes = Counter((form.width, form.height) for form in forms)
    (width, height), count = sizes.most_common(1)[0]
    return {
        "file widths": _range([form.width for form in forms]),
        "file heights": _range([form.height for form in forms]),
        "file sizes": f"{len(sizes)}, most often {width} x {height} ({count / len(forms):.0%})",
        "file modes": dict(Counter(form.mode for form in forms).most_common()),
    }


def _range(values: Sequence[int]) -> dict[str, int]:
    return {"least": min(values), "median": int(median(values)), "most": max(values)}


def reading_notes(
    reading: Reading, train: Sequence[FileForm], forms: Sequence[FileForm], target: ImageForm
) -> list[str]:
    """What people should know of it, a line each: of training images, and of all (`forms`), read as
    `target`.
    """
    (channels, height, width), notes = target.chw, []
    if peaks := sorted(form.peak for form in train if form.peak):
        notes.append(f"16-bit greys up to {peaks[-1]}: {reading.white} is white")
        usual = peaks[-1 - len(peaks) // 10]  # a hot pixel is no reason to lose the range
        if usual * 8 < reading.white:
            told = f"WARNING: most files use less than an eighth of data.white={reading.white}, up to {usual}"
            notes.append(f"{told} (--set data.white={2 ** usual.bit_length() - 1} uses the range)")
    if others := sum(not 0.9 < form.width * height / (form.height * width) < 1.11 for form in forms):
        told = (
            f"{others} of {len(forms)} files have other proportions than {width} x {height}: "
            f"{FIT_WORDS[reading.fit]}"
        )
        notes.append(told + " (--set data.fit=pad or crop keeps them)" * (reading.fit == "stretch"))
    if clear := sum(form.is_clear for form in train):
        notes.append(
            f"{clear} training images are transparent in part: they lie on {colour_name(reading.ground)}"
        )
    coloured = sum(form.channels == 3 for form in forms)
    if channels == 1 and coloured:
        told = f"{coloured} of {len(forms)} files are coloured; all are read as grey"
        notes.append(f"{told} (--set data.channels=3 keeps colour)")
    return notes
