"""How long texts are and of which symbols, which say next to nothing, and which are alike.

B texts of a block, G groups of bytes, L length, N texts, T bytes of all texts of a block.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.data.datasets import Dataset, Samples, Split
from modelyard.inspection.measures.protocol import Bin, Looked, Measures, Row
from modelyard.inspection.measures.text_examples import draw_examples, draw_rows, examples, grams
from modelyard.samples.text import text_of
from modelyard.terminal.printable import elided

LENGTHS, BEYOND, WORDS = "lengths", "characters beyond ASCII", "words"
SPREAD_NAME, SPREAD = "length at 5, 50 and 95 %", (5, 50, 95)
BEYOND_PERCENT = f"{BEYOND} (%)"
AT_MOST, CUT, ALIKE = (
    "characters at most",
    "as long, so cut or just so long",
    "equal but for case and white space",
)
PERCENTILES = {"least": 0, "5 %": 5, "median": 50, "95 %": 95, "99 %": 99, "most": 100}
BINS_PER_DOUBLING, BINS_PER_SHARE = 8, 100
"""Histograms of lengths (up to 11 characters each has its own bin) and of shares."""
BUCKETS = 32
"""Of words, by a hash; a text without any has one more."""
WORD = re.compile(rb"[0-9A-Za-z]+|[\xc2-\xf4][\x80-\xbf]+")
"""A run of ASCII letters and digits, or one other character: Chinese has no white space."""
LEAST_LETTERS = 2
"""Of ASCII, and digits; a text with fewer and no other character is near-empty."""
MANY_CUT, MANY_BEYOND = 0.02, 50
"""Advice: above which share of texts that reach the limit, and percent of characters beyond ASCII."""
MOST_ROWS, LONGEST_IN_TABLE = 20, 100
"""Texts in a table, one or two of a class, and characters of one."""
CONTINUES, LETTER, CAPITAL, DIGIT, MARK, SPACE, OTHER = range(7)
GROUPS, FIRST = 7, 1
"""Of bytes: within a character, small letters, capitals, digits, punctuation, white space, and the first of a
character beyond ASCII; all groups but one begin a character.
"""
SHARES = {"capitals": CAPITAL, "digits": DIGIT, "punctuation": MARK, "white space": SPACE, BEYOND: OTHER}


def _group_of(byte: int) -> int:
    if byte >= 0x80:
        return OTHER if byte >= 0xC0 else CONTINUES
    letter = chr(byte)
    if letter.isalnum():
        return DIGIT if letter.isdigit() else CAPITAL if letter.isupper() else LETTER
    return SPACE if letter.isspace() else MARK


GROUP_OF = np.array([_group_of(byte) for byte in range(256)], np.int64)


def _doublings(lengths_N: NDArray[np.float64]) -> NDArray[np.int64]:
    bins_N: NDArray[np.int64] = np.floor(BINS_PER_DOUBLING * np.log2(1 + lengths_N)).astype(np.int64)
    return bins_N


def _percents(shares_N: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.floor(shares_N * BINS_PER_SHARE).astype(np.int64)


class OfTexts(Measures):
    """Lengths and symbols."""

    empty = "near-empty"
    sheet = "page of examples"
    drift = "symbol_drift"
    bins: Mapping[str, Bin] = {LENGTHS: _doublings} | dict.fromkeys(SHARES, _percents)
    draws = (WORDS,)

    def look_at(self, split: Split) -> Looked:
        """Read every text once, a block at a time."""
        digests: list[bytes] = []
        words: list[int] = []
        counts = [np.zeros((0, GROUPS), np.int64)]
        for block_BL in split.blocks():
            counts.append(_count_groups(block_BL))
            for text in contents(block_BL):
                digests.append(text_digest(text))
                words.append(_drawn_word(text, digests[-1]))
        counts_NG = np.concatenate(counts)
        lengths_N = counts_NG[:, FIRST:].sum(1)
        shares_NG = counts_NG / np.maximum(1, lengths_N)[:, None]
        features = {LENGTHS: lengths_N.astype(np.float64)}
        features |= {name: shares_NG[:, group] for name, group in SHARES.items()}
        letters_N = counts_NG[:, [LETTER, CAPITAL, DIGIT]].sum(1) + LEAST_LETTERS * counts_NG[:, OTHER]
        beyond = 100 * counts_NG[:, OTHER].sum() / max(1, lengths_N.sum())
        spread = np.percentile(lengths_N, SPREAD) if len(lengths_N) else np.zeros(0)
        overall = {SPREAD_NAME: tuple(spread.round(1).tolist()), BEYOND_PERCENT: (round(float(beyond), 2),)}
        return Looked(
            digests,
            int((letters_N < LEAST_LETTERS).sum()),
            features,
            {WORDS: np.array(words, np.int64)},
            overall,
        )

    def facts(self, dataset: Dataset, train: Looked, test: Looked) -> dict[str, Any]:
        """Lengths, how many are as long as may be, and what is written in them."""
        form: Any = dataset.form  # whose measures these are
        lengths_N, pairs = train.features[LENGTHS], (("train", train), ("test", test))
        spread = np.percentile(lengths_N, [*PERCENTILES.values()]) if len(lengths_N) else np.zeros(6)
        return {
            AT_MOST: form.longest,
            "characters in train": dict(zip(PERCENTILES, spread.astype(int).tolist(), strict=True)),
            CUT: {part: int((looked.features[LENGTHS] >= form.longest).sum()) for part, looked in pairs},
            BEYOND_PERCENT: train.overall[BEYOND_PERCENT][0],
            ALIKE: _alike(dataset, train, test),
            "examples": examples(
                dataset, 2 if 2 * len(dataset.classes) <= MOST_ROWS else 1, MOST_ROWS, LONGEST_IN_TABLE
            ),
        }

    def advice(self, found: Mapping[str, Any]) -> Iterator[str]:
        """Of texts that were cut, say nothing or are written in other letters."""
        total, cut, empty = found["texts"]["train"], found[CUT]["train"], found["near-empty texts"]["train"]
        if cut > MANY_CUT * total:
            yield (
                f"cut: {cut / total:.0%} of the training texts reach the limit of {found[AT_MOST]} "
                f"characters; --set data.longest={2 * found[AT_MOST]} reads more of them and takes longer"
            )
        if empty:
            yield f"near-empty: {empty} training texts say next to nothing; take them out"
        if alike := found[ALIKE]["test"]:
            yield f"leaks: {alike} more test texts are in train but for case and white space"
        if found[BEYOND_PERCENT] > MANY_BEYOND:
            yield (
                f"letters: {found[BEYOND_PERCENT]:.0f} % of the characters take more than a byte; networks "
                "may learn faster from characters: --set model.alphabet=chars"
            )

    def shown(self, sample: Samples) -> dict[str, str]:
        """The text, or its beginning and end."""
        return {"sample": elided(text_of(sample), LONGEST_IN_TABLE)}

    def draw(self, dataset: Dataset, path: Path) -> None:
        """An HTML page."""
        draw_examples(dataset, path)

    def traits(self, split: Split) -> NDArray[np.float32]:
        """Hashed n-grams."""
        return np.concatenate([grams(np.zeros((0, 1), np.uint8)), *map(grams, split.blocks())])

    def named(self, sample: Samples, place: str) -> dict[str, str]:
        """What is written, and where."""
        return {"text": text_of(sample), "place": place}

    def draw_list(self, _split: Split, rows: Sequence[Row], note: str, path: Path) -> None:
        """An HTML page."""
        draw_rows(rows, note, path)

    def from_schema_1(self, _value: dict[str, Any]) -> dict[str, Any]:
        """There was none of texts."""
        raise ValueError("a profile of texts has schema 2")


def _count_groups(block_BL: Samples) -> NDArray[np.int64]:
    """How many bytes of each group every text has [B, G]."""
    is_there_BL = block_BL != 0
    rows_T = np.repeat(np.arange(len(block_BL)), is_there_BL.sum(1))
    keys_T = rows_T * GROUPS + GROUP_OF[block_BL[is_there_BL]]
    return np.bincount(keys_T, minlength=len(block_BL) * GROUPS).reshape(-1, GROUPS)


def contents(block_BL: Samples) -> Iterator[bytes]:
    """UTF-8 of each."""
    is_there_BL = block_BL != 0
    content, ends = block_BL[is_there_BL].tobytes(), np.cumsum(is_there_BL.sum(1)).tolist()
    return (content[start:end] for start, end in zip([0, *ends], ends, strict=False))


def text_digest(text: bytes) -> bytes:
    """The same for equal texts."""
    return hashlib.blake2b(text, digest_size=16).digest()


def _drawn_word(text: bytes, digest: bytes) -> int:
    """The bucket of one of its words; which one is as good as random, and the same for equal texts."""
    words = WORD.findall(text)
    if not words:
        return BUCKETS
    return zlib.crc32(words[int.from_bytes(digest[:4]) % len(words)].lower()) % BUCKETS


def _alike(dataset: Dataset, train: Looked, test: Looked) -> dict[str, int]:
    """Texts that another one equals but for case and white space: of train, and of test in train."""
    train_folded, test_folded = (
        [text_digest(" ".join(text.decode().casefold().split()).encode()) for text in _all(split)]
        for split in (dataset.train, dataset.test)
    )
    equal, known = set(train.digests), set(train_folded)
    pairs = zip(test.digests, test_folded, strict=True)
    return {
        "train": len(equal) - len(known),
        "test": sum(folded in known and exact not in equal for exact, folded in pairs),
    }


def _all(split: Split) -> Iterator[bytes]:
    return (text for block_BL in split.blocks() for text in contents(block_BL))
