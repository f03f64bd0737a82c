"""What a data set may be called. The name is also its registered model's, its release folder's and a filter
string's.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable

from modelyard.errors import DataError
from modelyard.sources.known import KNOWN

BUILT_IN = tuple(KNOWN)
RESERVED = (*BUILT_IN, "auto")
LONGEST = 64
LEGAL = re.compile(rf"[a-z0-9][a-z0-9._-]{{0,{LONGEST - 1}}}")


def safe_name(text: str) -> str:
    """The legal name nearest to a folder's: `My Pets` -> `my-pets`. Never a built-in one: `mnist` ->
    `mnist-folder`.
    """
    letters = unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9._]+", "-", letters)[:LONGEST].strip("-._")
    if not name:  # no Latin letter at all: still one name for each folder name
        return f"images-{hashlib.sha256(os.fsencode(text)).hexdigest()[:6]}"
    return f"{name}-folder" if name in RESERVED else name


def check_name(name: str) -> None:
    """Raises: DataError unless `name` may be given to an imported data set."""
    if name in RESERVED:
        raise DataError(f"{name!r} is a built-in data set; choose another --name, such as {safe_name(name)}")
    if not LEGAL.fullmatch(name):
        raise DataError(
            f"{name!r} cannot be a data set's name: expected lower-case letters, digits and -_. "
            "after a letter or digit,"
            f" {LONGEST} at most; for instance --name {safe_name(name)}"
        )


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean mnist?)` where one of the known names is close, else nothing."""
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""
