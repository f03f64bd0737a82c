"""Samples of unequal length in one array. B batch, L length, M stored samples, T values of all of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

LONGEST, MOST_LONGEST = 1024, 2**20
"""Characters of a text that are read unless told otherwise, and at most."""


@dataclass(frozen=True, slots=True, eq=False)
class Ragged:
    """Behaves as an array [M, ...]: rows are asked for by slice or by number, and come padded with zeros."""

    flat_T: NDArray[Any]
    """All values, one sample after the other; none is 0. It may be mapped from a file."""
    offsets_M1: NDArray[np.int64]
    """Where each sample begins, and where the last one ends."""
    form: Any
    """What each of them is."""
    given_as: type[np.generic] = np.uint8
    """Type of the rows that are asked for: int32 where they are symbols."""

    def __len__(self) -> int:
        return len(self.offsets_M1) - 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all, were they padded to the longest that may be."""
        return len(self), self.form.longest

    @property
    def nbytes(self) -> int:
        return int(self.flat_T.nbytes + self.offsets_M1.nbytes)

    @property
    def lengths_M(self) -> NDArray[np.int64]:
        """Values of each sample."""
        return np.diff(self.offsets_M1)

    def __getitem__(self, which: slice | NDArray[np.int64]) -> NDArray[Any]:
        """[B, L], L that of the longest of these and at least 1."""
        starts_B, ends_B = self.offsets_M1[:-1][which], self.offsets_M1[1:][which]
        lengths_B = ends_B - starts_B
        longest = max(1, int(lengths_B.max(initial=0)))
        is_there_BL = np.arange(longest) < lengths_B[:, None]
        padded_BL = np.zeros(is_there_BL.shape, self.given_as)
        if isinstance(which, slice) and which.step in {None, 1} and len(starts_B):
            padded_BL[is_there_BL] = self.flat_T[starts_B[0] : ends_B[-1]]
        else:  # their places one by one: [B, L] of them would be eight times what is read
            before_B = np.cumsum(lengths_B) - lengths_B
            at_T = np.repeat(starts_B - before_B, lengths_B) + np.arange(lengths_B.sum())
            padded_BL[is_there_BL] = self.flat_T[at_T]
        return padded_BL

    def only(self, rows_N: NDArray[np.int64] | None) -> Ragged:
        """These rows alone, in their order; None: all."""
        if rows_N is None:
            return self
        ends = np.cumsum(np.concatenate([[0], self.lengths_M[rows_N]]))
        parts = [self.flat_T[self.offsets_M1[row] : self.offsets_M1[row + 1]] for row in rows_N.tolist()]
        return replace(self, flat_T=np.concatenate(parts or [self.flat_T[:0]]), offsets_M1=ends)


def ragged(rows: list[NDArray[Any]], form: Any, dtype: type[np.generic]) -> Ragged:
    """Of samples one by one, none of which holds a 0."""
    ends = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    flat_T = np.concatenate(rows).astype(dtype) if rows else np.zeros(0, dtype)
    return Ragged(flat_T, ends, form, dtype)
