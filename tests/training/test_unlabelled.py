"""Laws of learning of samples without labels: batches of both, a resume changes nothing, no truth is looked
at.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from modelyard.data.augmentation import AugmentConfig
from modelyard.data.batches import Batch, Feed
from modelyard.data.datasets import Dataset, Split
from modelyard.data.splits import TRUTH, DataConfig, Splits, make_splits
from modelyard.errors import ConfigError
from modelyard.models import TextCnnConfig, TextRnnConfig, TextTransformerConfig
from modelyard.progress import EpochReport
from modelyard.recipes.assigned import LONGER
from modelyard.recipes.named import make_recipe, named
from modelyard.recipes.words import Words
from modelyard.samples import ImageForm, TextForm
from modelyard.samples.ragged import ragged
from modelyard.sources.known import Traits
from modelyard.training.config import TrainingConfig, num_epochs, steps_before
from modelyard.training.guesses import ACCURACY, SHARE, Alignment
from modelyard.training.loop import TrainResult, train
from modelyard.training.objectives import FixMatchConfig
from modelyard.training.objectives.classification import Classification
from modelyard.training.placement import Single
from modelyard.training.protocols import Moment
from modelyard.training.samplers import Balanced, Mixed, Shuffled
from modelyard.training.slices import TrainSlice
from modelyard.training.unlabelled import with_unlabelled

CPU, FORM = torch.device("cpu"), TextForm(400)
OF_TEXTS = {
    "text cnn": TextCnnConfig(ngrams=3, words=2, embedding=16, buckets=512, width=16),
    "text rnn": TextRnnConfig(ngrams=2, embedding=16, buckets=512, hidden=16),
    "text transformer": TextTransformerConfig(embedding=16, width=16, layers=1),
}
OF_IMAGES = ("cnn", "rnn", "transformer")
METHODS = ("fixmatch", "pseudo")


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def joined(splits: Splits, method: str = "fixmatch", **values: object) -> Splits:
    """As a training by that method sees them."""
    training = {"unlabelled": {"method": method}, **values}
    slice = TrainSlice.model_validate(
        {"data": {}, "model": {"architecture": "cnn"}, "training": training, "seed": 0}
    )
    return with_unlabelled(splits, slice, None)


@pytest.fixture(scope="module")
def images(digits: Dataset) -> Splits:
    few = Dataset(digits.name, digits.train.take(np.arange(300)), digits.test, digits.classes, "")
    return make_splits(few, DataConfig(labels=40))


@pytest.fixture(scope="module")
def sentences() -> Splits:
    """Which package does a docstring belong to? One of five is labelled."""
    docs = [
        sorted(
            {(inspect.getdoc(getattr(module, name)) or "").partition(".")[0][:400] for name in dir(module)}
        )
        for module in (np, torch)
    ]
    rows = [np.frombuffer(doc.encode(), np.uint8) for some in docs for doc in some[1:100]]
    labels_N = np.repeat(np.arange(2), [len(some[1:100]) for some in docs])
    whole = Split(ragged(rows, FORM, np.int32), labels_N)
    places_N = np.arange(len(whole)) % 5
    parts = [whole.take(np.flatnonzero(places_N == place)) for place in (0, 1)]
    rest = whole.take(np.flatnonzero(places_N > 1))
    hidden = replace(rest, labels_N=np.full(len(rest), -1), columns={TRUTH: rest.labels_N})
    return Splits(parts[0], parts[1], parts[1], hidden)


def config(method: str, **changes: object) -> TrainingConfig:
    values = {"unlabelled": {"method": method, "threshold": 0.11}, "precision": "fp32", "batch_size": 32}
    return TrainingConfig.model_validate(values | {"epochs": 2, "ema_decay": 0.9} | changes)


def trained(
    model: str, splits: Splits, training: TrainingConfig, checkpoint: Path, stop_after: int = 99
) -> TrainResult:
    torch.manual_seed(3)
    network = (
        OF_TEXTS[model].build(FORM, 2)
        if model in OF_TEXTS
        else make_recipe(model, "smoke").model.build(ImageForm(1, 28, 28), 10)
    )

    def stop(report: EpochReport) -> None:
        if report.epoch == stop_after:
            raise KeyboardInterrupt

    return train(
        network, splits, training, seed=3, placement=Single(CPU), asked=training.unlabelled,
        checkpoint=checkpoint, on_epoch=stop,
    )  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", [*OF_IMAGES, *OF_TEXTS])
def test_resume_equals_no_interruption_bit_for_bit(
    model: str, method: str, images: Splits, sentences: Splits, tmp_path: Path
) -> None:
    is_text = model in OF_TEXTS
    splits = joined(sentences if is_text else images, method)
    training = config(method, **({"augment": {"drop": 0.1}} if is_text else {}))
    whole = trained(model, splits, training, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        trained(model, splits, training, tmp_path / "cut", 1)
    resumed = trained(model, splits, training, tmp_path / "cut")
    before, after = whole.model.state_dict(), resumed.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert [report.more for report in whole.history] == [report.more for report in resumed.history]
    told = whole.history[-1].more
    assert 0 < told[SHARE] <= 1 and 0 < told[ACCURACY] <= 1


def test_no_truth_is_looked_at_and_without_one_no_accuracy_is_told(images: Splits, tmp_path: Path) -> None:
    splits = joined(images)
    hidden = replace(splits.train, columns={TRUTH: np.full(len(splits.train), -1)})
    whole = trained("rnn", splits, config("fixmatch", epochs=1), tmp_path / "whole")
    blind = trained("rnn", replace(splits, train=hidden), config("fixmatch", epochs=1), tmp_path / "blind")
    before, after = whole.model.state_dict(), blind.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert blind.history[0].more == {SHARE: whole.history[0].more[SHARE]}


def batch_of(labels: list[int], truth: list[int]) -> Batch:
    samples_B = torch.zeros(len(labels), 1, 8, 8, dtype=torch.uint8)
    columns = {TRUTH: torch.tensor(truth)}
    return Batch(torch.arange(len(labels)), (samples_B,), torch.tensor(labels), columns)


def test_only_strong_views_of_unlabelled_samples_learn_and_only_where_the_guess_is_sure() -> None:
    base = Classification(TrainingConfig().augment)
    split = Split(np.zeros((4, 1, 8, 8), np.uint8), np.array([1, -1, -1, -1]))
    objective = FixMatchConfig(ratio=2, align=False).objective(base, Feed(split, CPU))
    batch = objective.views(batch_of([1, -1, -1, -1], [1, 0, 1, -1]), Moment(0, 1, 0, generator(0)))
    logits_BK = torch.tensor([[0.0, 0], [9, 0], [9, 0], [0.3, 0]] + [[0.0, 0]] * 4, requires_grad=True)
    losses_B = objective.loss(lambda _views_B: logits_BK, batch, Moment(0, 1, 0, generator(0)))
    losses_B.sum().backward()  # type: ignore[no-untyped-call]
    assert logits_BK.grad is not None
    assert logits_BK.grad.abs().sum(1).bool().tolist() == [True, False, False, False, *[True] * 3, False]
    assert losses_B.tolist() == pytest.approx([np.log(2), np.log(2) / 2, np.log(2) / 2, 0])
    assert objective.counts(batch).tolist() == [1, 0, 0, 0]
    assert objective.report() == {SHARE: pytest.approx(2 / 3), ACCURACY: 0.5}
    assert objective.report() == {}


def test_answers_are_aligned_with_the_labels_and_anew_in_each_epoch() -> None:
    """A network that says one class too often is told so; one that does not is left alone."""
    alignment = Alignment(torch.tensor([0.5, 0.5]))
    batch = batch_of([0, *[-1] * 99], [0] * 100)
    even_BK = torch.tensor([[0.9, 0.1], [0.1, 0.9]]).repeat(50, 1)
    assert torch.allclose(alignment(even_BK, batch), even_BK, atol=0.01)
    alignment.begin()
    uneven_BK = torch.tensor([[0.6, 0.4]]).repeat(100, 1)
    first_BK = alignment(uneven_BK, batch)
    for _ in range(1000):
        last_BK = alignment(uneven_BK, batch)
    assert 0.58 < first_BK[1, 0] < 0.6 and abs(float(last_BK[1, 0]) - 0.5) < 0.01
    alignment.begin()
    assert torch.equal(alignment(uneven_BK, batch), first_BK)
    alignment.begin()
    three_BK = alignment(torch.full((100, 3), 1 / 3), batch_of([-1] * 100, [0] * 100))
    assert three_BK.isfinite().all()


LENGTHS = torch.arange(130) % 9
SAMPLERS: dict[str, Callable[[], Mixed]] = {
    "few labels": lambda: Mixed(Shuffled(10, 16), torch.arange(10), torch.arange(10, 130), 16, 4.0),
    "many labels": lambda: Mixed(Shuffled(100, 16), torch.arange(100), torch.arange(100, 130), 16, 4.0),
    "nearly all": lambda: Mixed(Shuffled(127, 16), torch.arange(127), torch.arange(127, 130), 16, 4.0),
    "by length": lambda: Mixed(Shuffled(10, 16), torch.arange(10), torch.arange(10, 130), 16, 4.0, LENGTHS),
    "balanced": lambda: Mixed(
        Balanced(torch.arange(10) // 8, 16), torch.arange(10), torch.arange(10, 130), 16, 4.0
    ),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_each_batch_has_equally_many_of_both(name: str) -> None:
    sampler = SAMPLERS[name]()
    known, count = set(sampler.rows_L.tolist()), len(sampler.rows_L)
    batches = [sampler.batches(epoch, torch.zeros(130), generator(epoch)) for epoch in range(3)]
    assert sampler.steps(3) == tuple(map(len, batches))
    shares = {sum(row in known for row in rows_B.tolist()) for epoch in batches for rows_B in epoch}
    assert len(shares) == 1 and 0 < min(shares) < 16
    for epoch in batches:
        rows = torch.cat(epoch).tolist()
        assert all(len(rows_B) == 16 for rows_B in epoch)
        others = [row for row in rows if row not in known]
        assert len({*others}) == min(len(others), 130 - count)
        assert {*rows} & known == known or count > len(rows) - len(others) or name == "balanced"
    assert [b.tolist() for b in batches[0]] != [b.tolist() for b in batches[1]]


def test_steps_are_counted_before_a_training(images: Splits, tmp_path: Path) -> None:
    training, splits = config("fixmatch", min_steps=30, hard_share=0.4), joined(images)
    steps = steps_before(training, len(splits.train), num_epochs(training, len(splits.train)))
    result = trained("rnn", splits, training, tmp_path / "whole")
    assert steps >= 30 and len(result.history) == num_epochs(training, len(splits.train))


def test_fewer_samples_are_fewer_unlabelled_ones(images: Splits) -> None:
    splits = joined(images, max_train_images=100)
    assert (splits.train.labels_N >= 0).sum() == 40 and len(splits.train) == 100
    assert len(joined(images).train) == len(images.train) + len(images.left_out or ())


def test_without_unlabelled_samples_it_is_refused(images: Splits) -> None:
    with pytest.raises(ConfigError, match=r"^training.unlabelled: expected samples without labels"):
        joined(replace(images, left_out=None))


def test_a_preset_is_longer_with_them_unless_told_otherwise() -> None:
    def made(*assignments: str) -> TrainingConfig:
        return named(Words(dataset="mnist", architectures=("cnn",), assignments=assignments))["cnn"].training

    plain, asked = made(), made("training.unlabelled=fixmatch")
    assert asked.min_steps == LONGER * plain.min_steps and asked.ema_decay > plain.ema_decay
    assert asked.augment == plain.augment.livelier() != plain.augment
    slanted = made("training.unlabelled=fixmatch", "training.augment.shear=0.1").augment
    assert slanted == AugmentConfig(shift=2, rotate=10, scale=0.1, shear=0.1)
    assert made("training.unlabelled=pseudo", "training.min_steps=7").min_steps == 7
    changed = made("training.unlabelled=fixmatch", "training.unlabelled.threshold=0.7").unlabelled
    assert changed == FixMatchConfig(threshold=0.7)
    assert make_recipe("cnn", "standard", Traits("mnist")).training.unlabelled is None
