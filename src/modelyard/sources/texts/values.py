"""A cell of a table as a text or as the name of a class."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from modelyard.errors import DataError
from modelyard.samples.text import UnreadableText, decoded
from modelyard.sources.layout import normal
from modelyard.terminal.printable import listed

WHOLE, DECIMALS = re.compile(r"[-+]?\d+(\.0*)?"), re.compile(r"[-+]?\d*\.\d*(e[-+]?\d+)?", re.IGNORECASE)
NUMBERS = (int, float)
BOOLEANS = frozenset(("true", "false"))
"""One spelling, however a format writes them."""


@dataclass(frozen=True, slots=True)
class Unfit:
    """What stands for a text that could not be had."""

    fault: str


def as_sample(value: object) -> str:
    """A text; numbers as they are written, nothing as the empty one. Raises: UnreadableText."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bytes):
        try:
            return decoded(value)
        except UnreadableText:
            raise UnreadableText("are bytes that are not in UTF-8") from None
    if isinstance(value, NUMBERS) and not isinstance(value, bool):
        return str(value)
    raise UnreadableText(value.fault if isinstance(value, Unfit) else f"hold no text but {_what(value)}")


def as_label(value: object) -> str:
    """The name of a class, empty where there is none. Raises: UnreadableText for several."""
    if value is None or (isinstance(value, float) and math.isnan(value)):  # a gap in a table of numbers
        return ""
    if isinstance(value, bytes):
        return as_label(as_sample(value))
    if not isinstance(value, str | int | float):
        raise UnreadableText(f"have no single label but {_what(value)}")
    label = normal(str(value).strip())
    return label.lower() if label.lower() in BOOLEANS else label


def _what(value: object) -> str:
    known = {dict: "an object", list: "a list", bool: "true or false"}
    return known.get(type(value), type(value).__name__)


def class_names(given: Iterable[str]) -> Mapping[str, str]:
    """What each label is called: `1.0`, as tables with gaps write it, is class 1.

    Raises: DataError for numbers with decimals, which are measurements.
    """
    labels = sorted(given)
    decimals = [label for label in labels if DECIMALS.fullmatch(label) and len(label) > 1]
    whole = [label for label in labels if WHOLE.fullmatch(label)]
    if decimals and len({*decimals, *whole}) == len(labels):
        if len(whole) < len(labels):
            broken = [label for label in decimals if label not in whole]
            raise DataError(
                f"the labels are numbers with decimals ({listed(broken)}); expected classes: "
                "make some of them, such as low and high, or choose another column by --label-column"
            )
        return {label: str(int(float(label))) for label in labels}
    return {label: label for label in labels}
