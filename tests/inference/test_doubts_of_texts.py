"""Texts that say nothing, are cut or are of other letters than those of training are said to be so."""

from __future__ import annotations

import numpy as np
import pytest

from modelyard.bundle import Manifest
from modelyard.inference.doubts import doubts, training_facts
from modelyard.samples import TextForm
from modelyard.samples.signature import Signature
from modelyard.samples.text import AS_READ
from tests.data.texts import text_split

ENGLISH = ["how are you", "what is this", "na\u00efve caf\u00e9"]
CHINESE = ["你好吗", "这是什么 ok", "天气不错"]


def manifest(training: list[str]) -> Manifest:
    split = text_split(training, [0] * len(training), longest=20)
    return Manifest(
        model_name="x",
        architecture="text-cnn",
        classes=("a",),
        signature=Signature.of_classifier(TextForm(20), 1),
        temperature=1.0,
        data_digest="0",
        recipe={},
        metrics=training_facts(split.form, split.in_memory, AS_READ) if training else {},
        environment={},
        files={},
        reading=AS_READ,
    )


@pytest.mark.parametrize(
    ("training", "text", "expected"),
    [
        (ENGLISH, "where is it", ""),
        (ENGLISH, "", "the text is empty"),
        (ENGLISH, " \n", "the text is empty"),
        (ENGLISH, "?", "the text is near-empty"),
        (ENGLISH, "a", "the text is near-empty"),
        (ENGLISH, "ok", ""),
        (ENGLISH, "🎈", "100% of the characters are beyond ASCII, of training texts 0% to 20%: another"),
        (ENGLISH, "one word after the other", "has 24 characters, of which the model reads the first 20"),
        (ENGLISH, "здравствуйте", "100% of the characters"),
        (CHINESE, "好", ""),
        (CHINESE, "ok, 这是", ""),
        (CHINESE, "how are you", "0% of the characters are beyond ASCII, of training texts 57% to 100%"),
        ([], "здравствуйте", ""),  # nobody looked
        ([""], "здравствуйте", ""),
    ],
)
def test_what_is_doubted(training: list[str], text: str, expected: str) -> None:
    found = doubts(text, manifest(training))
    assert len(found) == bool(expected)
    assert all(expected in told for told in found)


def test_the_facts_are_numbers_of_the_letters() -> None:
    split = text_split(["ab", "é", "好a", ""], [0] * 4)
    facts = training_facts(split.form, split.in_memory, AS_READ)
    assert facts == {"data/least_beyond_ascii": 0.0, "data/most_beyond_ascii": 1.0}
    assert all(np.isfinite(value) for value in facts.values())
