"""A tokenizer that comes with an encoder: as it was, but for what pads, and no more than it may be."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from modelyard.errors import ConfigError
from modelyard.export.fronts.nasty import NASTY
from modelyard.samples.ragged import ragged
from modelyard.samples.subwords import Subwords, adapted
from modelyard.samples.symbols import SUBWORDS, Symbols
from modelyard.samples.text_form import TextForm
from tests.data.encoders import PADS, TOKENIZERS

FAMILIES = ("bert", "roberta", "xlm-roberta")


def content_of(family: str) -> bytes:
    return bytes(TOKENIZERS[family]().to_str().encode())


@pytest.mark.parametrize("family", FAMILIES)
def test_texts_become_what_they_were_with_0_for_what_pads(family: str) -> None:
    theirs, padding = Tokenizer.from_str(content_of(family).decode()), PADS[family]
    theirs.no_padding()
    theirs.encode_special_tokens = True
    theirs.enable_truncation(64)
    made = adapted(content_of(family), padding, 64)
    swap = {0: padding, padding: 0}
    for text in [text for text in NASTY if "<pad>" not in text]:
        expected = [swap.get(number, number) for number in theirs.encode(text).ids]
        assert Subwords.of(made).numbers(text) == expected, text[:40]
    assert adapted(made.encode(), 0, 64) == made, "ours stays as it is"


@pytest.mark.parametrize("family", FAMILIES)
def test_anybody_who_reads_the_file_gets_the_same(family: str) -> None:
    """As a client of another server does, who knows nothing of ours."""
    made = adapted(content_of(family), PADS[family], 16)
    theirs = Tokenizer.from_str(made)
    for text in ("", "the dog bites", "dogs " * 40, "a [SEP] </s> b"):
        assert theirs.encode(text).ids == Subwords.of(made).numbers(text)


def test_what_people_write_never_ends_or_pads_a_text() -> None:
    for family in FAMILIES:
        known = Subwords.of(adapted(content_of(family), PADS[family], 64))
        ends = set(known.numbers(""))
        inner = known.numbers("a [SEP] [PAD] <pad> </s> b")[1:-1]
        assert not {0, *ends} & set(inner)


def test_a_split_of_texts_is_encoded_and_cut() -> None:
    symbols = Symbols(SUBWORDS, (adapted(content_of("bert"), 0, 8),))
    texts = ["", "the dog", "dogs " * 20]
    stored = ragged([np.frombuffer(text.encode(), np.uint8) for text in texts], TextForm(64), np.uint8)
    found = symbols.encoded(stored)
    assert (found.given_as, found.form.longest, found.form.symbols) == (np.int32, 8, symbols.count)
    assert [np.count_nonzero(row) for row in found[:]] == [2, 4, 8]


def spoilt(change: Callable[[Any], object]) -> bytes:
    told = json.loads(content_of("bert"))
    change(told)
    return json.dumps(told).encode()


def _model(**options: object) -> bytes:
    return spoilt(lambda told: told["model"].update(options))


def _normalizer(**part: object) -> bytes:
    return spoilt(lambda told: told.update(normalizer=part))


def _sequence(count: int) -> bytes:
    return _normalizer(type="Sequence", normalizers=[{"type": "Lowercase"}] * count)


CHARACTERS = base64.b64encode(b"\4\0\0\0" + b"\0\0\0\0" + b"x" * 1000 + b"\0").decode()
HOSTILE: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"\x80\4]", "no tokenizer.json of Hugging Face's"),
    "nested": (b"[" * 100_000, "nested too deep"),
    "another JSON": (b"[1]", "no tokenizer.json of Hugging Face's"),
    "another model": (_model(type="Pickle"), "a model 'Pickle'"),
    "a vocabulary of lists": (_model(vocab={"a": [0]}), "Hugging Face's"),
    "a vocabulary of words": (_model(vocab={"a": "0"}), "other things than"),
    "long words": (_model(max_input_chars_per_word=10**9), "words of more"),
    "chance": (_model(dropout=0.5), "a random choice"),
    "an expression": (
        spoilt(lambda told: told.update(pre_tokenizer={"type": "Split", "pattern": {"Regex": "(a+)+$"}})),
        "a pre_tokenizer 'Split'",
    ),
    "an expression within": (
        _normalizer(type="Replace", pattern={"Regex": "(a+)+$"}, content=""), "a replacement of",
    ),
    "much of little": (_normalizer(type="Replace", pattern={"String": "a"}, content="aa"), "a replace"),
    "many parts": (_sequence(17), "more than 16 parts in its normalizer"),
    "a long beginning": (_normalizer(type="Prepend", prepend="x" * 9), "a beginning 'xxx"),
    "long characters": (
        _normalizer(type="Precompiled", precompiled_charsmap=CHARACTERS), "become more than 64 bytes",
    ),
    "unreadable": (_normalizer(type="Replace", pattern={"String": "a"}, content=""), ""),
    "added tokens": (spoilt(lambda told: told.update(added_tokens=["x"])), "of Hugging Face's"),
    "a lost unknown": (_model(unk_token="nothing"), "that tokenizers reads"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "told"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused_in_one_line(content: bytes, told: str) -> None:
    if not told:
        adapted(content, 0, 16)
        return
    with pytest.raises(ConfigError, match=told) as caught:
        adapted(content, 0, 16)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_a_bundles_file_has_to_be_by_our_contract() -> None:
    made = json.loads(adapted(content_of("bert"), 0, 16))
    for change in ({"truncation": None}, {"padding": {"pad_id": 0}}):
        with pytest.raises(ConfigError, match="expected a tokenizer that pads nothing"):
            Subwords(json.dumps(made | change))


def test_without_the_library_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    made = adapted(content_of("bert"), 0, 16)
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ConfigError, match=r"needs tokenizers; install modelyard\[text\]"):
        Subwords(made)
