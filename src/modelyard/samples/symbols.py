"""What a network is given for a text: its bytes, numbers of characters or words by a table learnt there, or
the subwords of an encoder's own tokenizer.

0 pads, `UNKNOWN` stands for what is not in the table. T symbols of all texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from modelyard.errors import ConfigError
from modelyard.samples.ragged import Ragged, ragged
from modelyard.samples.subwords import TOKENIZER_FILE, Subwords
from modelyard.samples.text_form import BYTE_SYMBOLS, TextForm
from modelyard.samples.words import folded, spellings, words_of

Alphabet = Literal["bytes", "chars", "letters", "words"]
"""Letters are characters, small ones and capitals alike."""
SUBWORDS: Literal["subwords"] = "subwords"
PADDING, UNKNOWN, FIRST = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Parts:
    """What the symbols of an alphabet are that has a table."""

    of: Callable[[str], list[str]]
    """A text's, in order."""
    folded: Callable[[str], str] = str
    """Under which spelling the table has one."""
    spellings: Callable[[str], tuple[str, ...]] = lambda symbol: (symbol,)
    """All that are folded to this one, itself among them if it is."""


PARTS: Mapping[str, Parts] = {
    "chars": Parts(list),
    "letters": Parts(list, folded, spellings),
    "words": Parts(words_of, folded, spellings),
}


@dataclass(frozen=True, slots=True)
class Symbols:
    """One of the alphabets, with its table."""

    alphabet: Alphabet | Literal["subwords"]
    table: tuple[str, ...] = ()
    """Characters or words, the most frequent first; the first of them is `FIRST`. Empty of bytes; of subwords
    the tokenizer's file (`subwords.adapted`)."""

    @classmethod
    def learnt(cls, alphabet: Alphabet, texts: Ragged, most: int) -> Symbols:
        """Of training texts: the most frequent characters or words, at most `most`."""
        if alphabet not in PARTS:
            return cls(alphabet)
        parts = PARTS[alphabet]
        counts = Counter(part for text in all_texts(texts) for part in parts.of(text))
        merged: Counter[str] = Counter()
        for part, times in counts.items():
            merged[parts.folded(part)] += times
        by_frequency = sorted(merged.items(), key=lambda pair: (-pair[1], pair[0]))
        return cls(alphabet, tuple(symbol for symbol, _ in by_frequency[:most]))

    @property
    def count(self) -> int:
        """How many different numbers there are, padding among them."""
        if self.alphabet == SUBWORDS:
            return int(self.subwords.count)
        return FIRST + len(self.table) if self.alphabet in PARTS else BYTE_SYMBOLS

    @property
    def numbers(self) -> dict[str, int]:
        """Each spelling that the table knows -> its number; any other is `UNKNOWN`."""
        return _numbers(self)

    @property
    def subwords(self) -> Subwords:
        """The tokenizer. Raises: ConfigError where there is none."""
        if not self.table:
            raise ConfigError(
                "expected an encoder that comes with its tokenizer (--init FOLDER), received none"
            )
        return Subwords.of(self.table[0])

    @property
    def files(self) -> dict[str, bytes]:
        """What has to be at hand where a graph takes these numbers, by its name in a bundle."""
        return {TOKENIZER_FILE: self.table[0].encode()} if self.alphabet == SUBWORDS else {}

    def form(self, form: TextForm) -> TextForm:
        """What a network is given of texts of that form."""
        longest = self.subwords.longest if self.alphabet == SUBWORDS else form.longest
        return replace(form, symbols=self.count, longest=longest)

    def encoded(self, texts: Ragged) -> Ragged:
        """uint8 UTF-8 -> symbols, int32; bytes share what is stored."""
        if self.alphabet == SUBWORDS:
            return ragged(self.subwords.rows(all_texts(texts)), self.form(texts.form), np.int32)
        if self.alphabet not in PARTS:
            return replace(texts, given_as=np.int32)
        numbers, parted = self.numbers, PARTS[self.alphabet].of
        rows = [
            np.array([numbers.get(part, UNKNOWN) for part in parted(text)], np.int32)
            for text in all_texts(texts)
        ]
        return ragged(rows, self.form(texts.form), np.int32)


@lru_cache(maxsize=4)
def _numbers(symbols: Symbols) -> dict[str, int]:
    spelt = PARTS[symbols.alphabet].spellings
    return {name: FIRST + place for place, symbol in enumerate(symbols.table) for name in spelt(symbol)}


def all_texts(texts: Ragged) -> Iterator[str]:
    """Each as a string."""
    content: NDArray[np.uint8] = texts.flat_T
    for start, end in zip(texts.offsets_M1[:-1].tolist(), texts.offsets_M1[1:].tolist(), strict=True):
        yield content[start:end].tobytes().decode()
