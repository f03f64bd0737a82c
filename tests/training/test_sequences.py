"""Laws of training on samples of unequal length: a resume changes nothing, blocks keep their rows."""

from __future__ import annotations

import inspect
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from modelyard.data.batches import VALUES_AT_ONCE, Feed
from modelyard.data.datasets import Split
from modelyard.data.splits import Splits
from modelyard.data.symbol_augmentation import SymbolAugment
from modelyard.evaluation.predict import predict_logits
from modelyard.models import TextCnnConfig, TextRnnConfig, TextTransformerConfig
from modelyard.progress import EpochReport
from modelyard.recipes.named import make_recipe
from modelyard.samples import TextForm
from modelyard.samples.ragged import ragged
from modelyard.sources.known import Traits
from modelyard.training.loop import train
from modelyard.training.placement import Single

CPU, FORM = torch.device("cpu"), TextForm(400)
MODELS: dict[str, TextCnnConfig | TextRnnConfig | TextTransformerConfig] = {
    "cnn": TextCnnConfig(ngrams=3, words=2, embedding=16, buckets=512, width=16, ngram_dropout=0.3),
    "rnn": TextRnnConfig(ngrams=2, embedding=16, buckets=512, hidden=16),
    "transformer": TextTransformerConfig(embedding=16, width=16, layers=1),
}


def first_sentences(module: ModuleType) -> list[bytes]:
    """Of the docstrings of all that is public in it."""
    docs = (inspect.getdoc(getattr(module, name)) or "" for name in dir(module) if name[0] != "_")
    return [doc.partition(".")[0][:400].encode() for doc in docs if doc.strip()]


@pytest.fixture(scope="module")
def splits() -> Splits:
    """Which package does a docstring belong to? The bytes, as a network is given them."""
    by_class = [sorted(set(first_sentences(module)))[:130] for module in (np, torch)]
    texts = [np.frombuffer(text, np.uint8) for some in by_class for text in some]
    labels_N = np.repeat(np.arange(2), [len(some) for some in by_class])
    whole = Split(ragged(texts, FORM, np.int32), labels_N)
    held_out_N = np.arange(len(whole)) % 4 == 0
    train_split, validation = (whole.take(np.flatnonzero(mask)) for mask in (~held_out_N, held_out_N))
    return Splits(train_split, validation, validation)


@pytest.mark.parametrize("name", MODELS)
def test_resume_equals_no_interruption_bit_for_bit(name: str, splits: Splits, tmp_path: Path) -> None:
    config = make_recipe(name, "sprint", Traits(kind="text")).training.override(
        ["epochs=3", "min_steps=0", "precision=fp32", "augment.drop=0.1", "hard_share=0.6"]
    )

    def run(checkpoint: Path, stop_after: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(3)
        model = MODELS[name].build(FORM, 2)

        def stop(report: EpochReport) -> None:
            if report.epoch == stop_after:
                raise KeyboardInterrupt

        result = train(
            model, splits, config, seed=3, placement=Single(CPU), checkpoint=checkpoint, on_epoch=stop
        )
        return result.model.state_dict()

    whole = run(tmp_path / "whole", 99)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", 2)
    resumed = run(tmp_path / "cut", 99)
    assert all(torch.equal(whole[weight], resumed[weight]) for weight in whole)


def test_a_short_training_tells_the_packages_apart(splits: Splits) -> None:
    training = make_recipe("cnn", "smoke", Traits(kind="text")).training.override(["precision=fp32"])
    torch.manual_seed(0)
    result = train(MODELS["cnn"].build(FORM, 2), splits, training, seed=0, placement=Single(CPU))
    assert result.history[-1].validation_accuracy > 0.75


def test_evaluation_by_length_answers_every_row_in_its_place(splits: Splits) -> None:
    split, model = splits.train, MODELS["cnn"].build(FORM, 2).eval()
    together_NK = predict_logits(model, split, CPU)
    with torch.no_grad():
        alone_NK = torch.cat([model(torch.from_numpy(split.gather(np.array([row])))) for row in range(50)])
    torch.testing.assert_close(together_NK[:50], alone_NK, rtol=0, atol=1e-6)


def test_blocks_have_every_row_once_and_few_values(splits: Splits) -> None:
    lengths = np.array([0, 1, 70_000, 5, 140_000, 66_000, *[300] * 1000])
    long = Split(ragged([np.ones(length) for length in lengths], FORM, np.int32), np.zeros(len(lengths), int))
    blocks = [batch.inputs[0] for batch in Feed(long, CPU).in_blocks(512)]
    rows = torch.cat([batch.rows_B for batch in Feed(long, CPU).in_blocks(512)])
    assert sorted(rows.tolist()) == list(range(len(lengths)))
    assert all(block.numel() <= VALUES_AT_ONCE or len(block) == 1 for block in blocks)
    assert len(blocks) < 8
    padding = sum(block.numel() for block in blocks) - lengths.sum()
    assert padding < 2 * 512


def test_dropped_symbols_are_unknown_and_padding_stays(splits: Splits) -> None:
    given_BL = torch.from_numpy(splits.train.gather(np.arange(64)))
    draws = [
        SymbolAugment(drop=0.25).views(given_BL, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    ]
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
    is_there_BL = given_BL != 0
    assert torch.equal(draws[0] != 0, is_there_BL)
    assert ((draws[0] != given_BL).sum() / is_there_BL.sum()).item() == pytest.approx(0.25, abs=0.03)
    assert (draws[0][draws[0] != given_BL] == 1).all()
