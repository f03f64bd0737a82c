"""What speaks against a text before a model answers: it says nothing, is cut, or is written in other letters
than the texts that the model was trained on. B texts, L length.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.bundle import Manifest

LEAST_BEYOND, MOST_BEYOND = "data/least_beyond_ascii", "data/most_beyond_ascii"
"""Metrics: the lowest and the highest share of characters beyond ASCII of some training texts."""
FAR = 0.5
"""By so much a text's share lies beside theirs: another script."""
LEAST_LETTERS = 2
"""Letters and digits of ASCII; fewer say next to nothing without a character beyond it."""
ASCII, BEGINS = 0x80, 0xC0
"""Bytes of UTF-8: below is a character of its own; from here on the first of one."""


def doubts_of_text(text: str, manifest: Manifest) -> list[str]:
    """Why the answer for a text, as a person gave it, may be worthless."""
    form: Any = manifest.form  # whose texts these are
    if text.isascii() and sum(map(str.isalnum, text[: form.longest])) < LEAST_LETTERS:
        return [f"the text is {'near-empty' if text.strip() else 'empty'}"]
    found = []
    if len(text) > form.longest:
        found.append(
            f"the text has {len(text)} characters, of which the model reads the first {form.longest}"
        )
    least, most = (manifest.metrics.get(name) for name in (LEAST_BEYOND, MOST_BEYOND))
    if least is None or most is None:
        return found
    share = sum(not character.isascii() for character in text) / len(text)
    if share > most + FAR or share < least - FAR:
        usual = f"{least:.0%} to {most:.0%}" if least < most else f"{most:.0%}"
        told = f"{share:.0%} of the characters are beyond ASCII, of training texts {usual}"
        found.append(f"{told}: another language?")
    return found


def facts_of_texts(few_BL: NDArray[np.uint8], _reading: object) -> dict[str, float]:
    """What is kept of training texts, uint8 [B, L] padded with zeros, for it."""
    beyond_B = (few_BL >= BEGINS).sum(1)
    characters_B = beyond_B + ((few_BL > 0) & (few_BL < ASCII)).sum(1)
    shares_B = (beyond_B / np.maximum(1, characters_B))[characters_B > 0]
    if not len(shares_B):
        return {}
    return {LEAST_BEYOND: float(shares_B.min()), MOST_BEYOND: float(shares_B.max())}
