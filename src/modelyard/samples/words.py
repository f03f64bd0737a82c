"""What a word is: the same to Python's regular expressions and to those of a graph (RE2), on every text.

Neither a locale nor a table of Unicode decides: all ranges are written out.
"""

from __future__ import annotations

import re

BETWEEN = "".join(
    (
        r"\x00-\x20\x7f-\xa0",  # ASCII's and Latin-1's white space and control characters
        "\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000",  # other white space
    )
)
"""Ranges of characters that part words and belong to none."""
ALONE = "".join(
    (
        r"!-/:-@\[-`{-~",  # ASCII's punctuation
        "\xa1-\xa9\xab-\xb1\xb4\xb6-\xb8\xbb\xbf\xd7\xf7",  # Latin-1's
        "\u2010-\u2027\u2030-\u205e\u20a0-\u20cf",  # dashes, quotation marks, currencies
        "\u2190-\u2bff\U0001f000-\U0001faff",  # symbols, emoji
        "\u3001-\u3003\u3008-\u3020\u3030\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65",  # full width
        "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd",  # kana, Han
    )
)
"""Ranges of characters each of which is a word by itself."""
WORD = f"[^{BETWEEN}{ALONE}]+|[{ALONE}]"


def words_of(content: str) -> list[str]:
    """In order, spelt as they are."""
    found: list[str] = re.findall(WORD, content)
    return found


def folded(word: str) -> str:
    """In small letters what is written in them, in capitals, or with one at its beginning; else as it is."""
    small = word.lower()
    return small if word in _cases(small) else word


def spellings(word: str) -> tuple[str, ...]:
    """All that `folded` makes this word of, which is how a graph that cannot change letters looks it up."""
    return tuple(spelt for spelt in _cases(word) if folded(spelt) == word)


def _cases(small: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((small, small[:1].upper() + small[1:], small.upper())))
