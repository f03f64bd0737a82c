"""What people should know of a folder's files: how they were, and how they were read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Any

from modelyard.data.images import Form
from modelyard.reading import Reading, colour_name


def origin_of(forms: Sequence[Form]) -> dict[str, Any]:
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


def reading_notes(reading: Reading, train: Sequence[Form], forms: Sequence[Form], channels: int) -> list[str]:
    """What people should know of it, a line each: of training images, and of all (`forms`)."""
    notes = []
    if peak := max((form.peak for form in train), default=0):
        notes.append(f"16-bit greys up to {peak}: {reading.white} is white")
        if peak * 8 < reading.white:
            notes.append(f"WARNING: that is less than an eighth of data.white={reading.white}; leave it out to use the range")
    if clear := sum(form.is_clear for form in train):
        notes.append(f"{clear} training images are transparent in part: they lie on {colour_name(reading.ground)}")
    coloured = sum(form.channels == 3 for form in forms)
    if channels == 1 and coloured:
        told = f"{coloured} of {len(forms)} files are coloured; all are read as grey"
        notes.append(f"{told} (--set data.channels=3 keeps colour)")
    return notes
