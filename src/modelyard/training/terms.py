"""Terms: the n-grams of words or letters that a linear model counts.

Each is found step by step, by the number of the term without its last symbol and by that symbol, as the
exported graph finds it.

T symbols of all samples, V symbols of the table, F terms, N samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from modelyard.samples.ragged import Ragged
from modelyard.samples.symbols import FIRST, Alphabet, Symbols

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

MOST_SYMBOLS = 2**20
BLOCK_BYTES = 2_000_000
"""Texts that are counted at once, for memory's sake."""
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """The terms of one alphabet, numbered from 1: those of one symbol in the order of the table, then those
    of two in the order of their keys, and so on. 0 is no term.
    """

    symbols: Symbols
    keys: tuple[Numbers, ...]
    """Of each further length, ascending: the number of the term without its last symbol times `base`, plus
    that of the symbol."""

    @classmethod
    def learnt(cls, alphabet: Alphabet, texts: Ragged, longest: int, least: int, most: int) -> Self:
        """All of up to `longest` symbols that occur in `least` training samples, or in more where there would
        be more than `most` of them.
        """
        every = Symbols.learnt(alphabet, texts, MOST_SYMBOLS)
        terms, counts = cls._grown(every, texts, longest, least)
        if len(terms) <= most:
            return terms
        return cls._grown(every, texts, longest, int(np.sort(counts)[-most - 1]) + 1)[0]

    @classmethod
    def _grown(cls, every: Symbols, texts: Ragged, longest: int, least: int) -> tuple[Self, Numbers]:
        """The terms, and in how many samples each occurs."""
        first_T, rows_T = _numbered(every, texts)
        singles, singles_counts = _frequent(first_T, rows_T, least)
        table = tuple(every.table[number - 1] for number in singles.tolist())
        terms, counts = cls(replace(every, table=table), ()), [singles_counts]
        places = np.zeros(len(every.table) + 1, np.int64)
        places[singles] = np.arange(1, len(singles) + 1)
        first_T = before_T = places[first_T]
        for _ in range(2, longest + 1):
            key_T = _extended(before_T, first_T, rows_T, terms.base)
            keys, found = _frequent(key_T, rows_T, least)
            before_T = _looked_up(key_T, keys, len(terms))
            terms, counts = replace(terms, keys=(*terms.keys, keys)), [*counts, found]
        return terms, np.concatenate(counts)

    def __len__(self) -> int:
        return len(self.symbols.table) + sum(map(len, self.keys))

    @property
    def base(self) -> int:
        """More than any symbol's number as a term."""
        return len(self.symbols.table) + 1

    @property
    def levels(self) -> Iterator[tuple[Numbers, int]]:
        """The keys of each further length, and how many terms come before theirs."""
        before = len(self.symbols.table)
        for keys in self.keys:
            yield keys, before
            before += len(keys)

    def counted(self, texts: Ragged) -> csr_matrix:
        """How often each term occurs in each sample, [N, F]."""
        from scipy.sparse import vstack

        ends = np.searchsorted(texts.offsets_M1, np.arange(0, int(texts.offsets_M1[-1]), BLOCK_BYTES))
        edges = np.unique([0, *ends.tolist(), len(texts)])
        parts = [texts.only(np.arange(*pair)) for pair in pairwise(edges.tolist())] or [texts]
        return vstack([self._counted(part) for part in parts]).tocsr()

    def _counted(self, texts: Ragged) -> csr_matrix:
        """[N, F], all at once."""
        from scipy.sparse import coo_matrix

        before_T, rows_T = _numbered(self.symbols, texts)
        first_T, found = before_T, [before_T]
        for keys, before in self.levels:
            before_T = _looked_up(_extended(before_T, first_T, rows_T, self.base), keys, before)
            found.append(before_T)
        terms, rows = np.concatenate(found), np.tile(rows_T, len(found))
        is_term = terms > 0
        ones = np.ones(int(is_term.sum()))
        shape = len(texts), len(self)
        return coo_matrix((ones, (rows[is_term], terms[is_term] - 1)), shape).tocsr()


def _numbered(symbols: Symbols, texts: Ragged) -> tuple[Numbers, Numbers]:
    """All symbols as terms [T], 0 for one that is not in the table, and the sample of each [T]."""
    encoded = symbols.encoded(texts)
    rows_T = np.repeat(np.arange(len(encoded)), encoded.lengths_M)
    return encoded.flat_T.astype(np.int64) - (FIRST - 1), rows_T


def _extended(before_T: Numbers, first_T: Numbers, rows_T: Numbers, base: int) -> Numbers:
    """The key of each term and the symbol after it [T], at that symbol's place; 0 where either is none or
    another sample begins.
    """
    key_T = np.zeros_like(first_T)
    key_T[1:] = before_T[:-1] * base + first_T[1:]
    key_T[1:][(before_T[:-1] == 0) | (first_T[1:] == 0) | (rows_T[1:] != rows_T[:-1])] = 0
    return key_T


def _frequent(key_T: Numbers, rows_T: Numbers, least: int) -> tuple[Numbers, Numbers]:
    """Those above 0 that occur in `least` samples, ascending, and in how many."""
    is_there_T = key_T > 0
    keys, places = np.unique(key_T[is_there_T], return_inverse=True)
    rows = rows_T[is_there_T]
    samples = int(rows_T.max(initial=0)) + 1
    pairs = np.unique(places * samples + rows)
    counts = np.bincount(pairs // samples, minlength=len(keys)).astype(np.int64)
    return keys[counts >= least], counts[counts >= least]


def _looked_up(key_T: Numbers, keys: Numbers, before: int) -> Numbers:
    """The number of each term [T], the first of `keys` having `before + 1`; 0 where it is not among them."""
    if not len(keys):
        return np.zeros_like(key_T)
    places_T = np.minimum(np.searchsorted(keys, key_T), len(keys) - 1)
    return np.where(keys[places_T] == key_T, places_T + before + 1, 0)
