"""Laws of every network that reads symbols: neither padding nor the others of a batch change an answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from modelyard.models import AnyModelConfig, TextCnnConfig, TextRnnConfig, TextTransformerConfig
from modelyard.models.ngrams import LONGEST_WORD, hashed_ngrams, hashed_words, small_letters
from modelyard.models.size import measure_size
from modelyard.recipes import texts
from modelyard.recipes.named import make_recipe
from modelyard.samples import TextForm
from modelyard.samples.text_form import padded
from modelyard.sources.known import Traits

TEXTS = [
    "", "a", "¡", "Why?", "two  words", "a" * 50, "naïve café — 你好,世界 👩‍🔬", "tabs\tand\nlines",
    "x" * 301,
    "How many stars are there, and who counted them one by one in which year of which century?",
]  # fmt: skip
NETWORKS = set(texts.TABLE) - set(texts.BASELINES)
CONFIGS: dict[str, AnyModelConfig] = {
    name: make_recipe(name, "standard", Traits(kind="text")).model for name in sorted(NETWORKS)
} | {
    "ensemble": TextCnnConfig(members=2, ngrams=3), "patches of 3": TextRnnConfig(patch=3, layers=2),
    "deep": TextTransformerConfig(patch=5, layers=3), "wide": TextCnnConfig(kernel=7, layers=3),
    "no layer": TextCnnConfig(layers=0, words=2),
}  # fmt: skip


def model_of(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return CONFIGS[name].build(TextForm(400), 7).eval()


def symbols(texts: list[str], more: int = 0) -> Tensor:
    """int32 [B, L], with so much more padding than there has to be."""
    bytes_BL = padded([text.encode() for text in texts])
    return torch.from_numpy(np.pad(bytes_BL, ((0, 0), (0, more))).astype(np.int32))


@pytest.mark.parametrize("name", CONFIGS)
def test_padding_and_batch_mates_change_nothing(name: str) -> None:
    model = model_of(name)
    with torch.no_grad():
        alone_BK = torch.cat([model(symbols([text])) for text in TEXTS])
        for more in (0, 1, 100):
            torch.testing.assert_close(model(symbols(TEXTS, more)), alone_BK, rtol=0, atol=3e-6)
        torch.testing.assert_close(model(symbols(TEXTS[::-1])), alone_BK.flip(0), rtol=0, atol=3e-6)
    assert alone_BK.shape == (len(TEXTS), 7)
    assert alone_BK.isfinite().all()


@pytest.mark.parametrize("name", CONFIGS)
def test_what_a_text_says_and_in_which_order_changes_the_answer(name: str) -> None:
    with torch.no_grad():
        logits_BK = model_of(name)(symbols(["dog bites man", "man bites dog", "dog bites men"]))
    assert (logits_BK[0] - logits_BK[1:]).abs().amax(1).min() > 1e-6


@pytest.mark.parametrize("name", CONFIGS)
def test_every_weight_is_reached_and_gradients_are_finite_beside_an_empty_text(name: str) -> None:
    model = model_of(name).train()
    model(symbols(TEXTS)).square().sum().backward()
    for weight_name, weight in model.named_parameters():
        assert weight.grad is not None and weight.grad.isfinite().all(), weight_name


@pytest.mark.parametrize("name", CONFIGS)
def test_its_size_is_measured(name: str) -> None:
    model, form = model_of(name), TextForm(400)
    assert measure_size(model, form).parameters == sum(weight.numel() for weight in model.parameters())


def small(text: str) -> Tensor:
    return small_letters(symbols([text]).long())


def test_an_ngram_has_its_number_wherever_it_stands_and_whatever_its_case() -> None:
    two_BL, three_BL = hashed_ngrams(small("abc, ABC: cab"), 3)
    assert two_BL[0, 1] == two_BL[0, 6] == two_BL[0, 12], "ab"
    assert three_BL[0, 2] == three_BL[0, 7] != three_BL[0, 12], "abc"
    assert two_BL[0, 11] != two_BL[0, 12] != two_BL[0, 2], "ca, ab, bc"
    assert len(set(two_BL[0].tolist())) == 10, (
        "of 13 places three have one of before; a at the start has its own"
    )


def test_a_word_has_its_number_wherever_it_stands_and_none_has_that_of_another() -> None:
    word_BL, pair_BL = hashed_words(small("the cat's mat, the cat's hat. The CAT's act"))
    ends = {"the": 2, "cat's": 8, "mat": 12, "the ": 17, "cat's ": 23, "hat": 27, "The": 32, "CAT's": 38}
    number = {word: int(word_BL[0, at]) for word, at in ends.items()}
    assert number["the"] == number["the "] == number["The"]
    assert number["cat's"] == number["cat's "] == number["CAT's"]
    assert len({number["the"], number["cat's"], number["mat"], number["hat"], int(word_BL[0, 42])}) == 5
    assert pair_BL[0, 8] == pair_BL[0, 23] == pair_BL[0, 38] != pair_BL[0, 12]
    assert word_BL[0, 3] == word_BL[0, 13] == 0, "what parts words is none"


def test_a_word_of_any_length_has_a_number_and_depends_on_itself_alone() -> None:
    long = "a" * 20 + "b" * (2 * LONGEST_WORD)
    (first_L,), (second_L,) = (
        hashed_words(small(before + long))[0][:, len(before) :] for before in ("x ", "another ")
    )
    assert torch.equal(first_L, second_L)
    assert first_L.min() >= 0


def test_what_cannot_be_built_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"kernel \(4\) must be odd"):
        TextCnnConfig(kernel=4)
    with pytest.raises(ValidationError, match=r"heads \(5\) and 2 must divide width \(64\)"):
        TextTransformerConfig(heads=5)
