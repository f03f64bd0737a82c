"""What a network is given for a text: its bytes, or numbers of characters or words by a table learnt there.

0 pads, `UNKNOWN` stands for what is not in the table. T symbols of all texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from modelyard.samples.ragged import Ragged, ragged
from modelyard.samples.text_form import BYTE_SYMBOLS, TextForm

Alphabet = Literal["bytes", "chars", "words"]
PADDING, UNKNOWN, FIRST = 0, 1, 2
WHITE_SPACE = " \t\n\r\x0b\x0c"
"""What parts words: that of ASCII, which every regular expression and every graph agree on."""


@dataclass(frozen=True, slots=True)
class Symbols:
    """One of the alphabets, with its table."""

    alphabet: Alphabet
    table: tuple[str, ...] = ()
    """Characters or words, the most frequent first; the first of them is `FIRST`. Empty of bytes."""

    @classmethod
    def learnt(cls, alphabet: Alphabet, texts: Ragged, most: int) -> Symbols:
        """Of training texts: the most frequent characters or words, at most `most`."""
        if alphabet == "bytes":
            return cls(alphabet)
        counts = Counter(symbol for text in all_texts(texts) for symbol in parted(text, alphabet))
        by_frequency = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        return cls(alphabet, tuple(symbol for symbol, _ in by_frequency[:most]))

    @property
    def count(self) -> int:
        """How many different numbers there are, padding among them."""
        return BYTE_SYMBOLS if self.alphabet == "bytes" else FIRST + len(self.table)

    def form(self, form: TextForm) -> TextForm:
        """What a network is given of texts of that form."""
        return replace(form, symbols=self.count)

    def encoded(self, texts: Ragged) -> Ragged:
        """uint8 UTF-8 -> symbols, int32; bytes share what is stored."""
        if self.alphabet == "bytes":
            return replace(texts, given_as=np.int32)
        numbers = {symbol: FIRST + place for place, symbol in enumerate(self.table)}
        rows = [
            np.array([numbers.get(symbol, UNKNOWN) for symbol in parted(text, self.alphabet)], np.int32)
            for text in all_texts(texts)
        ]
        return ragged(rows, self.form(texts.form), np.int32)


def parted(text: str, alphabet: Alphabet) -> list[str]:
    """The characters of a text, or its words in lower case (of ASCII alone: as a graph can)."""
    return list(text) if alphabet == "chars" else lowered(text).split()


def lowered(text: str) -> str:
    """A to Z in lower case, other letters as they are; other white space than ASCII's is part of a word."""
    return text


def all_texts(texts: Ragged) -> Iterator[str]:
    """Each as a string."""
    content: NDArray[np.uint8] = texts.flat_T
    for start, end in zip(texts.offsets_M1[:-1].tolist(), texts.offsets_M1[1:].tolist(), strict=True):
        yield content[start:end].tobytes().decode()
