"""Symbols of texts: what is a word, how it is spelt, and what a table learns."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from modelyard.samples.ragged import Ragged, ragged
from modelyard.samples.symbols import FIRST, PARTS, UNKNOWN, Alphabet, Symbols
from modelyard.samples.text_form import BYTE_SYMBOLS, TextForm
from modelyard.samples.words import folded, spellings, words_of

PAGES = sorted((Path(__file__).parents[2] / "docs").glob("*.md"))
STRANGE = (
    "İstanbul",
    "ΣΊΣΥΦΟΣ",
    "straße",
    "STRASSE",
    "ǅ",
    "ŉ",
    "ﬁ",
    "iPhone",
    "McDonald",
    "A",
    "ß",
    "ẞ",
    "ı",
)


def _texts(*texts: str) -> Ragged:
    return ragged([np.frombuffer(text.encode(), np.uint8) for text in texts], TextForm(1024), np.uint8)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", []),
        (" \t\n\u3000\xa0", []),
        ("What's new?", ["What", "'", "s", "new", "?"]),
        ("e\u0301t\xe9 на дом", ["e\u0301t\xe9", "на", "дом"]),
        ("买iPhone 手机。", ["买", "iPhone", "手", "机", "。"]),
        ("👍🏽ok", ["👍", "🏽", "ok"]),
    ],
)
def test_words(content: str, words: list[str]) -> None:
    assert words_of(content) == words


def test_no_character_is_lost_but_those_between_words() -> None:
    plane = [chr(code) for code in range(1, 0x10000) if not 0xD800 <= code < 0xE000]
    lost = [each for each in plane if not words_of(each)]
    assert 64 < len(lost) < 100
    assert all(not each.isprintable() or each == " " for each in lost)


def test_a_table_finds_a_word_under_the_spellings_that_are_folded_to_it() -> None:
    words = {word for page in PAGES for word in words_of(page.read_text())} | set(STRANGE)
    spelt = {each for word in words for each in (word, word.lower(), word.upper(), word.capitalize())}
    for word in spelt:
        assert word in spellings(folded(word))
        assert all(folded(each) == folded(word) for each in spellings(folded(word)))
    assert folded("The") == folded("THE") == "the"
    assert folded("iPhone") == "iPhone"


@pytest.mark.parametrize("alphabet", ["chars", "words"])
def test_the_most_frequent_are_learnt_and_the_rest_is_unknown(alphabet: Alphabet) -> None:
    texts = _texts(*(line for page in PAGES for line in page.read_text().splitlines()))
    symbols = Symbols.learnt(alphabet, texts, 50)
    assert symbols.count == FIRST + 50
    parts = PARTS[alphabet]
    assert symbols.table[0] == {"chars": " ", "words": "."}[alphabet]
    one = PAGES[0].read_text()
    found_L = symbols.encoded(_texts(one))[:][0]
    places = {symbol: FIRST + place for place, symbol in enumerate(symbols.table)}
    assert found_L.tolist() == [places.get(parts.folded(part), UNKNOWN) for part in parts.of(one)]
    assert symbols.encoded(_texts(one)).form.symbols == symbols.count


def test_bytes_are_as_they_are_stored() -> None:
    texts = _texts("é", "ab")
    symbols = Symbols.learnt("bytes", texts, 5)
    assert symbols.count == BYTE_SYMBOLS
    assert symbols.encoded(texts)[:].tolist() == [[0xC3, 0xA9], [0x61, 0x62]]
    assert symbols.encoded(texts)[:].dtype == np.int32


@pytest.mark.parametrize("offsets", [[0, 2**62 + 1, -(2**62), 2], [0, 5, 2], [1, 2], [0, 3], []], ids=str)
def test_offsets_of_other_texts_are_refused(tmp_path: Path, offsets: list[int]) -> None:
    """The first leave the file and come back, by differences that are positive in 64 bits."""
    form = TextForm(8)
    form.write(tmp_path, "train", [_texts("é")[:]])
    assert TextForm.open(tmp_path, "train", asdict(form))[:].tolist() == [[0xC3, 0xA9]]
    np.save(tmp_path / "train_offsets.npy", np.array(offsets, np.int64))
    with pytest.raises(ValueError, match=r"train_offsets\.npy does not belong to train_texts\.npy"):
        TextForm.open(tmp_path, "train", asdict(form))
