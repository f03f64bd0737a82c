"""One text as training, prediction and the server read it: strict UTF-8, Unicode form C, no NUL, cut at a
limit.
"""

from __future__ import annotations

import unicodedata
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from modelyard.errors import DataError

NORMAL: Literal["NFC"] = "NFC"
CONTRACT_VERSION = 1
SHRINKS = 4
"""Form C makes one character of so many at most, but for the letters of no living language."""


@dataclass(frozen=True, slots=True)
class TextReading:
    """How texts become a model's input, beyond their length."""

    unicode: str = NORMAL

    @property
    def told(self) -> str:
        """For people."""
        return f"UTF-8, {self.unicode}"

    @property
    def decides(self) -> tuple[object, ...]:
        """What of it makes other inputs of the same texts."""
        return (self.unicode,)

    def made(self) -> None:
        """Nothing beyond what every text has."""

    @classmethod
    def from_json(cls, value: object) -> TextReading:
        """Raises: ValueError."""
        if value != {"unicode": NORMAL}:
            raise ValueError(f"expected unicode {NORMAL}, received {str(value)[:60]}")
        return cls()


AS_READ = TextReading()


class UnreadableText(DataError):
    """What is no text: another encoding, or half a surrogate pair, or NUL."""


def decoded(content: bytes) -> str:
    """UTF-8 as a text. Raises: UnreadableText."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        encoding = "UTF-16" if content[:2] in {BOM_UTF16_LE, BOM_UTF16_BE} else "ENCODING"
        raise UnreadableText(
            f"not in UTF-8: byte 0x{content[error.start]:02x} after {error.start} others; "
            f"convert it: iconv -f {encoding} -t UTF-8"
        ) from None


def clean_text(text: str, longest: int) -> str:
    """In form C, cut. Raises: UnreadableText for what has no UTF-8 and for NUL, which pads."""
    short = text[: SHRINKS * longest]
    normal = short if unicodedata.is_normalized(NORMAL, short) else unicodedata.normalize(NORMAL, short)
    cut = normal[:longest]
    if "\0" in cut:
        raise UnreadableText("a text holds the character NUL; remove it")
    if not cut.isascii():
        try:
            cut.encode()
        except UnicodeEncodeError:
            raise UnreadableText("a text holds half a surrogate pair, which has no UTF-8") from None
    return cut


def text_of(row_L: NDArray[Any]) -> str:
    """A stored text, uint8 [L] padded with zeros."""
    content: bytes = row_L[row_L != 0].astype(np.uint8).tobytes()
    return content.decode()
