"""Numbers of the n-grams and words that end at each symbol: integer arithmetic, the same in every engine.

B batch, L length in symbols. Everything looks back only, so padding behind a sample changes nothing in it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

MULTIPLIER, MODULUS = 1_000_003, 2**31 - 1
"""Of the rolling hash (Karp and Rabin 1987); products stay below 2^52."""
START = 257
"""Stands before the first symbol."""
REACHES = (1, 2, 4, 8, 16)
LONGEST_WORD = sum(REACHES)
"""Bytes that a hash looks back; what it is of a longer word depends on the word alone, too."""
_POWERS = [pow(MULTIPLIER, place, MODULUS) for place in range(LONGEST_WORD + 2)]


def small_letters(bytes_BL: Tensor) -> Tensor:
    """A to Z become a to z; other bytes stay."""
    is_capital_BL = (bytes_BL >= ord("A")) & (bytes_BL <= ord("Z"))
    return bytes_BL + is_capital_BL.long() * (ord("a") - ord("A"))


def hashed_ngrams(symbols_BL: Tensor, longest: int) -> list[Tensor]:
    """int64 [B, L] -> for 2 to `longest` symbols that end at each place [B, L], below `MODULUS`."""
    hash_BL, hashes = symbols_BL, list[Tensor]()
    for _ in range(longest - 1):
        before_BL = functional.pad(hash_BL, (1, 0), value=START)[:, :-1]
        hash_BL = (before_BL * MULTIPLIER + symbols_BL) % MODULUS
        hashes.append(hash_BL)
    return hashes


def hashed_words(bytes_BL: Tensor) -> list[Tensor]:
    """int64 [B, L], in small letters -> of the word up to each place, and of it with the word before.

    A polynomial over the places in the word, by differences of running sums.
    """
    at_L = torch.arange(1, bytes_BL.shape[1] + 1, device=bytes_BL.device)
    begun_BL = _last_gap(bytes_BL, at_L)
    powers_P = torch.tensor(_POWERS, device=bytes_BL.device)
    part_BL = bytes_BL * powers_P[at_L - begun_BL] % MODULUS
    sum_BL = functional.pad(part_BL.cumsum(1), (1, 0))
    word_BL = (sum_BL[:, 1:] - sum_BL.gather(1, begun_BL)) % MODULUS
    before_BL = functional.pad(word_BL, (2, 0)).gather(1, begun_BL)
    return [word_BL, (before_BL * MULTIPLIER + word_BL) % MODULUS]


def _last_gap(bytes_BL: Tensor, at_L: Tensor) -> Tensor:
    """Where, counted from 1, the last byte that belongs to no word lies; 0 where there is none, and at most
    `LONGEST_WORD` + 1 places back. int64 [B, L].
    """
    last_BL = torch.where(_is_of_word(bytes_BL), 0, at_L)
    for reach in REACHES:  # each doubles how far a place has looked back
        last_BL = torch.maximum(last_BL, functional.pad(last_BL, (reach, 0))[:, :-reach])
    return torch.maximum(last_BL, at_L - LONGEST_WORD - 1)


def _is_of_word(bytes_BL: Tensor) -> Tensor:
    """Letters a to z, digits, the apostrophe, and every byte of a character beyond ASCII."""
    is_letter_BL = (bytes_BL >= ord("a")) & (bytes_BL <= ord("z"))
    is_digit_BL = (bytes_BL >= ord("0")) & (bytes_BL <= ord("9"))
    return is_letter_BL | is_digit_BL | (bytes_BL == ord("'")) | (bytes_BL >= 128)
