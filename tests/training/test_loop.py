"""Laws of training: every parameter moves, a resume changes nothing, small data train in small batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from modelyard.data.batches import Feed
from modelyard.data.datasets import Dataset, Split
from modelyard.data.splits import DataConfig, Splits, make_splits
from modelyard.errors import TrainingError
from modelyard.evaluation.predict import calibrated_loss, predict_logits
from modelyard.progress import EpochReport
from modelyard.recipes.cnn import PRESETS
from modelyard.recipes.named import ARCHITECTURES, make_recipe
from modelyard.samples import ImageForm
from modelyard.sources.peek import describe
from modelyard.training import parts
from modelyard.training.config import TrainingConfig, batch_size_for, num_epochs, steps_before, steps_of_epoch
from modelyard.training.loop import train
from modelyard.training.placement import Single

ALL = (*ARCHITECTURES, "lenet", "lstm", "vit")
CPU = torch.device("cpu")


@pytest.fixture
def splits(digits: Dataset) -> Splits:
    return make_splits(
        Dataset(digits.name, digits.train.take(np.arange(200)), digits.test, digits.classes, ""), DataConfig()
    )


def few_epochs(architecture: str, epochs: int = 3) -> TrainingConfig:
    changes = [
        f"epochs={epochs}",
        "min_steps=0",
        "batch_size=64",
        "precision=fp32",
        "hard_share=0.5",
        "ema_decay=0.9",
    ]
    return make_recipe(architecture, "smoke").training.override(changes)


@pytest.mark.parametrize("architecture", ALL)
def test_every_parameter_moves(architecture: str, splits: Splits) -> None:
    torch.manual_seed(0)
    model = make_recipe(architecture, "smoke").model.build(ImageForm(1, 28, 28), 10)
    before = {name: value.clone() for name, value in model.named_parameters()}
    train(model, splits, few_epochs(architecture, 1), seed=0, placement=Single(CPU))
    assert [name for name, value in model.named_parameters() if torch.equal(value, before[name])] == []


@pytest.mark.parametrize(("preset", "dataset"), [("sprint", "mnist"), ("quality", "fashion-mnist")])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_resume_equals_no_interruption_bit_for_bit(
    architecture: str, preset: str, dataset: str, splits: Splits, tmp_path: Path
) -> None:
    changes = [
        "training.epochs=3",
        "training.min_steps=0",
        "training.batch_size=64",
        "training.precision=fp32",
    ]
    config = make_recipe(architecture, preset, describe(dataset)).override(changes).training

    def run(checkpoint: Path, stop_after: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(3)
        model = make_recipe(architecture, "smoke").model.build(ImageForm(1, 28, 28), 10)

        def stop(report: EpochReport) -> None:
            if report.epoch == stop_after:
                raise KeyboardInterrupt

        result = train(
            model, splits, config, seed=3, placement=Single(CPU), checkpoint=checkpoint, on_epoch=stop
        )
        return result.model.state_dict()

    whole = run(tmp_path / "whole", 99)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", 1)
    resumed = run(tmp_path / "cut", 99)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


EVEN = {
    "weights": ["class_weights=balanced"],
    "sampling": ["sampling=balanced"],
    "both": ["class_weights=balanced", "sampling=balanced"],
    "hard, too": ["sampling=balanced", "hard_share=0.5"],
}


def uneven(digits: Dataset, *sizes: int) -> Splits:
    """So many images of each of the first classes, two of each held out."""
    rows = [np.flatnonzero(digits.train.labels_N == label)[: size + 2] for label, size in enumerate(sizes)]
    train, held_out = (
        np.concatenate(part) for part in ([row[2:] for row in rows], [row[:2] for row in rows])
    )
    return Splits(digits.train.take(train), digits.train.take(held_out), digits.test)


@pytest.mark.parametrize("changes", EVEN.values(), ids=EVEN)
def test_uneven_classes_are_resumed_bit_for_bit(changes: list[str], digits: Dataset, tmp_path: Path) -> None:
    config = few_epochs("rnn", 3).override(["hard_share=1", *changes])
    splits = uneven(digits, 40, 3, 9)

    def run(checkpoint: Path, stop_after: int, training: TrainingConfig = config) -> dict[str, torch.Tensor]:
        torch.manual_seed(3)
        model = make_recipe("rnn", "smoke").model.build(ImageForm(1, 28, 28), 10)

        def stop(report: EpochReport) -> None:
            if report.epoch == stop_after:
                raise KeyboardInterrupt

        return train(
            model, splits, training, seed=3, placement=Single(CPU), checkpoint=checkpoint, on_epoch=stop
        ).model.state_dict()

    whole = run(tmp_path / "whole", 99)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", 1)
    resumed = run(tmp_path / "cut", 99)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    natural = run(tmp_path / "natural", 99, few_epochs("rnn", 3).override(["hard_share=1"]))
    assert not all(torch.equal(whole[name], natural[name]) for name in whole)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_weighted_loss_is_the_mean_of_the_classes_means(smoothing: float, digits: Dataset) -> None:
    torch.manual_seed(3)
    model, splits = (
        torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10)),
        uneven(digits, 20, 3, 0, 7),
    )
    images_NCHW, labels_N = (
        torch.from_numpy(splits.train.in_memory) / 255,
        torch.from_numpy(splits.train.labels_N),
    )
    losses_N = torch.nn.functional.cross_entropy(
        model(images_NCHW), labels_N, label_smoothing=smoothing, reduction="none"
    )
    config = TrainingConfig.model_validate(
        {
            "epochs": 1,
            "precision": "fp32",
            "class_weights": "balanced",
            "label_smoothing": smoothing,
            "augment": {"shift": 0},
        }
    )
    found = train(model, splits, config, seed=0, placement=Single(CPU)).history[0].train_loss
    assert found == pytest.approx(
        np.mean([losses_N[labels_N == label].mean().item() for label in (0, 1, 3)]), rel=1e-5
    )
    assert found != pytest.approx(losses_N.mean().item(), rel=1e-3)


def test_validation_is_not_weighed(digits: Dataset) -> None:
    model, splits = make_recipe("rnn", "smoke").model.build(ImageForm(1, 28, 28), 10), uneven(digits, 40, 3)
    config = few_epochs("rnn", 1).override(["class_weights=balanced", "ema_decay=0"])
    result = train(model, splits, config, seed=0, placement=Single(CPU))
    logits_NK = predict_logits(result.model, splits.validation, CPU)
    plain = torch.nn.functional.cross_entropy(logits_NK, torch.from_numpy(splits.validation.labels_N))
    assert result.history[0].validation_loss == pytest.approx(plain.item(), rel=1e-5)


PLAIN, BALANCED = list[str](), ["sampling=balanced", "class_weights=balanced"]
FEW = [
    *((name, PLAIN, (1, 1)) for name in ALL),  # a network sees no more of them than the batch
    *((name, BALANCED, (1, 40)) for name in ALL),
    *(("cnn", *more) for more in ((PLAIN, (3, 3)), (PLAIN, (1, 40)), (BALANCED, (1, 1)), (BALANCED, (3, 3)))),
]


@pytest.mark.parametrize(("architecture", "changes", "sizes"), FEW)
def test_few_images_train(
    architecture: str,
    changes: list[str],
    sizes: tuple[int, ...],
    digits: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the precision probe, which takes no more images than there are."""
    asked: list[int] = []

    def probe(_model: torch.nn.Module, images_BCHW: torch.Tensor, *_: object) -> str:
        asked.append(len(images_BCHW))
        return "fp32"

    monkeypatch.setattr(parts, "choose_precision", probe)
    config = make_recipe(architecture, "sprint").training.override(["epochs=2", "min_steps=0", *changes])
    model = make_recipe(architecture, "smoke").model.build(ImageForm(1, 28, 28), 2)
    splits = uneven(digits, *sizes)
    result = train(model, splits, config, seed=0, placement=Single(CPU))
    assert asked == [min(32, sum(sizes))]
    assert [report.epoch for report in result.history] == [1, 2]
    assert predict_logits(result.model, splits.test, CPU).isfinite().all()


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_takes_steps_with_few_images(preset: str) -> None:
    for architecture in ARCHITECTURES:
        config = make_recipe(architecture, preset).training
        for images in (2, 6, 20, 33, 65):
            steps = steps_before(config, images, num_epochs(config, images))
            assert config.min_steps <= steps < config.min_steps + 33
            assert all(steps_of_epoch(config, images, epoch) >= 1 for epoch in (0, 1))


def test_one_image_is_refused_in_one_line(digits: Dataset) -> None:
    model = make_recipe("rnn", "smoke").model.build(ImageForm(1, 28, 28), 10)
    config = few_epochs("rnn").override(["max_train_images=1"])
    with pytest.raises(
        TrainingError, match="expected at least 2 images to train on, received 1; allow or add more"
    ):
        train(model, uneven(digits, 3, 3), config, seed=0, placement=Single(CPU))


def test_fewer_images_of_a_folder_are_of_every_class(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder's images come class by class: the first of them are one class."""
    splits = uneven(digits, 30, 10, 20)
    fed: list[Split] = []

    def feed(split: Split, device: torch.device, **named: bool) -> Feed:
        fed.append(split)
        return Feed(split, device, **named)

    monkeypatch.setattr(parts, "Feed", feed)
    model = make_recipe("rnn", "smoke").model.build(ImageForm(1, 28, 28), 10)
    train(
        model, splits, few_epochs("rnn", 1).override(["max_train_images=12"]), seed=0, placement=Single(CPU)
    )
    assert np.bincount(fed[0].labels_N).tolist() == [6, 2, 4]


@pytest.mark.fault("a loss that is not finite", how="a learning rate that diverges")
def test_non_finite_loss_stops_with_a_remedy(splits: Splits, tmp_path: Path) -> None:
    model = make_recipe("cnn", "smoke").model.build(ImageForm(1, 28, 28), 10)
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"not finite.*lower training\.optimizer\.learning_rate"):
        train(model, splits, few_epochs("cnn"), seed=0, placement=Single(CPU), checkpoint=tmp_path / "c")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_same_seed_same_weights_and_another_seed_others(architecture: str, splits: Splits) -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        model = make_recipe(architecture, "smoke").model.build(ImageForm(1, 28, 28), 10)
        result = train(model, splits, few_epochs(architecture, 1), seed=seed, placement=Single(CPU))
        return torch.cat([value.flatten().float() for value in result.model.state_dict().values()])

    first = weights(4)
    assert torch.equal(first, weights(4))
    assert not torch.equal(first, weights(5))


def test_small_data_train_in_small_batches() -> None:
    config = TrainingConfig(batch_size=256, min_steps_per_epoch=20, epochs=2, min_steps=700)
    assert [batch_size_for(config, images) for images in (100, 1_300, 54_000)] == [32, 65, 256]
    assert num_epochs(config, 54_000) * (54_000 // 256 + 1) >= 700
    assert num_epochs(config, 1_300) == 35


def test_the_average_forgets_the_random_start(splits: Splits) -> None:
    """A decay of 0.999 over a dozen steps would leave nearly the first weights, which know nothing."""
    torch.manual_seed(0)
    model = make_recipe("rnn", "smoke").model.build(ImageForm(1, 28, 28), 10)
    config = few_epochs("rnn", 8).override(["ema_decay=0.999", "batch_size=32"])
    result = train(model, splits, config, seed=0, placement=Single(CPU))
    assert result.history[-1].validation_loss < 0.8 * result.history[0].validation_loss


@pytest.mark.parametrize("confidence", [0.5, 2.0, 3.5])
def test_a_calibrated_loss_does_not_mind_confidence(confidence: float) -> None:
    torch.manual_seed(0)
    logits_NK, labels_N = 2 * torch.randn(500, 7), torch.randint(0, 7, (500,))
    labels_N[:400] = logits_NK[:400].argmax(1)
    same = calibrated_loss(logits_NK, labels_N)
    assert calibrated_loss(confidence * logits_NK, labels_N) == pytest.approx(same, rel=0.01)
    assert same <= torch.nn.functional.cross_entropy(logits_NK, labels_N)


def test_the_kept_epoch_has_the_lowest_calibrated_loss(splits: Splits) -> None:
    torch.manual_seed(0)
    model = make_recipe("rnn", "smoke").model.build(ImageForm(1, 28, 28), 10)
    result = train(model, splits, few_epochs("rnn", 12), seed=0, placement=Single(CPU))
    losses = [report.calibrated_loss for report in result.history]
    assert result.best_epoch == 1 + losses.index(min(losses))
    kept = torch.from_numpy(splits.validation.labels_N.astype("int64"))
    assert calibrated_loss(predict_logits(result.model, splits.validation, CPU), kept) == pytest.approx(
        min(losses), abs=1e-6
    )


def test_patience_stops_early(splits: Splits) -> None:
    model = make_recipe("rnn", "smoke").model.build(ImageForm(1, 28, 28), 10)
    config = few_epochs("rnn", 30).override(["patience=2", "optimizer.learning_rate=1e-9"])
    history = train(model, splits, config, seed=0, placement=Single(CPU)).history
    best = min(history, key=lambda report: report.calibrated_loss).epoch
    assert len(history) == min(30, best + 2)
