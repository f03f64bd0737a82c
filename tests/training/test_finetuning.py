"""Laws of fine-tuning: what should move moves and nothing else, a resume changes nothing, changes of low rank
are merged exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from modelyard.data.datasets import Dataset
from modelyard.data.splits import DataConfig, Splits, few_labels, make_splits
from modelyard.data.symbol_augmentation import SymbolAugment
from modelyard.errors import TrainingError
from modelyard.evaluation.predict import calibrated_loss, predict_logits
from modelyard.home import features_folder
from modelyard.models.network import members
from modelyard.progress import EpochReport
from modelyard.samples import Form, ImageForm, TextForm
from modelyard.training.adapt import folds, head, last_layer, lora
from modelyard.training.adapt.logistic import Logistic
from modelyard.training.adapt.rates import layer_rates
from modelyard.training.adapt.tuning import Tuning
from modelyard.training.adapt.ways import WAYS, fine_tuned
from modelyard.training.config import TrainingConfig
from modelyard.training.finetuning import FinetuneConfig
from modelyard.training.job import TrainJob
from modelyard.training.loop import TrainResult, train
from modelyard.training.optim import OptimizerConfig
from modelyard.training.placement import Single
from modelyard.training.state import kept_epoch
from tests.laws.test_training_golden import one_thread
from tests.models.former import IMAGES, TEXTS
from tests.training.test_sequences import splits as of_texts

CPU, ALL = torch.device("cpu"), IMAGES | TEXTS
FEW = TrainingConfig(epochs=2, batch_size=32, min_steps_per_epoch=1, precision="fp32", ema_decay=0.5)
texts = of_texts
SHARED = ["cnn", "cnns", "rnn", "vit", "text-rnn", "text-transformer"]
"""Names of networks with all that may matter to a resume: norms, members, LSTMs, a class token, dropout."""


@pytest.fixture(scope="module")
def images(digits: Dataset) -> Splits:
    few = digits.train.take(np.arange(160))
    return make_splits(Dataset(digits.name, few, digits.test, digits.classes, ""), DataConfig())


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MODELYARD_CACHE", str(tmp_path))
    monkeypatch.setattr(head, "PENALTIES", head.PENALTIES[4::4])
    with one_thread():
        yield


class Laid:
    """Networks and what they are tuned on."""

    def __init__(self, images: Splits, texts: Splits) -> None:
        self._images, self._texts = images, texts

    def tuning(
        self, name: str, mode: str, checkpoint: Path | None = None, stop: int = 0, decay: float = 1.0,
        rate: float = 3e-3,
    ) -> Tuning:  # fmt: skip
        splits, form, classes = self._of(name)
        torch.manual_seed(1)
        network = ALL[name].build(form, classes)
        with (
            torch.no_grad()
        ):  # as if it had been trained: nothing is 0, as norms of residual blocks are at first
            for parameter in network.parameters():
                parameter.add_(torch.rand_like(parameter) / 20)
        finetune = FinetuneConfig(mode=mode, rank=2, layer_decay=decay)

        def on_epoch(report: EpochReport) -> None:
            if report.epoch == stop and report.epochs == FEW.epochs:
                raise KeyboardInterrupt

        told = {"optimizer": OptimizerConfig(learning_rate=rate)}
        training = FEW.model_copy(update=told if name in IMAGES else told | {"augment": SymbolAugment()})
        job = TrainJob(
            data=DataConfig(), model=ALL[name], training=training, seed=3, finetune=finetune,
            data_folder="a/data-b", device="cpu", checkpoint="",
        )  # fmt: skip
        loop = partial(
            train, network, splits, training, seed=3, placement=Single(CPU), layer_decay=decay,
            on_epoch=on_epoch, checkpoint=checkpoint,
        )  # fmt: skip
        return Tuning(network, splits, job, classes, CPU, on_epoch, loop)

    def _of(self, name: str) -> tuple[Splits, Form, int]:
        return (self._images, ImageForm(1, 28, 28), 10) if name in IMAGES else (self._texts, TextForm(400), 2)


@pytest.fixture(scope="module")
def laid(images: Splits, texts: Splits) -> Laid:
    return Laid(images, texts)


def parameters(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.named_parameters()}


def is_of_head(name: str) -> bool:
    return "head" in name.split(".")


@pytest.mark.parametrize("mode", WAYS)
@pytest.mark.parametrize("name", ALL)
def test_what_should_move_moves_and_nothing_else(name: str, mode: str, laid: Laid) -> None:
    tuning = laid.tuning(name, mode)
    before = parameters(tuning.network)
    result = fine_tuned(tuning)
    after = parameters(result.model)
    moved = {weight for weight in before if not torch.equal(before[weight], after[weight])}
    of_head = {weight for weight in before if is_of_head(weight)}
    multiplied = {weight for weight, value in before.items() if "weight" in weight and value.ndim > 1}
    everything = set(before) if result.best_epoch else of_head  # epoch 0 has its fitted head alone
    expected = {
        "full": set(before), "head-then-full": everything, "head": of_head,
        "lora": everything & (of_head | {weight for weight in multiplied if "embedding" not in weight}),
    }  # fmt: skip
    assert moved == expected[mode]
    assert sorted(before) == sorted(after)
    assert all(parameter.requires_grad for parameter in result.model.parameters())
    assert kept_epoch(result.history).epoch == result.best_epoch


@pytest.mark.parametrize("mode", WAYS)
@pytest.mark.parametrize("name", SHARED)
def test_resume_equals_no_interruption_bit_for_bit(name: str, mode: str, laid: Laid, tmp_path: Path) -> None:
    def run(checkpoint: str, stop: int) -> TrainResult:
        return fine_tuned(laid.tuning(name, mode, tmp_path / checkpoint, stop, decay=0.5))

    whole = run("whole", 0).model.state_dict()
    if mode != "head":
        with pytest.raises(KeyboardInterrupt):
            run("cut", 1)
    resumed = run("cut", 0).model.state_dict()
    assert all(torch.equal(whole[weight], resumed[weight]) for weight in whole)


@pytest.mark.parametrize("mode", ["head-then-full", "lora"])
@pytest.mark.parametrize(("name", "rate"), [("cnn", 1e-6), ("cnn", 1.0), ("text-rnn", 1.0)])
def test_what_goes_on_from_a_fitted_head_does_not_end_below_it(
    name: str, rate: float, mode: str, laid: Laid
) -> None:
    def loss(network: nn.Module) -> float:
        return calibrated_loss(predict_logits(network, validation, CPU), torch.tensor(validation.labels_N))

    fitted, tuning = laid.tuning(name, "head"), laid.tuning(name, mode, rate=rate)
    validation = tuning.splits.validation
    of_head = loss(fine_tuned(fitted).model)
    result = fine_tuned(tuning)
    first, *others = result.history
    assert [report.epoch for report in result.history] == [0, 1, 2]
    assert first.calibrated_loss == pytest.approx(of_head, abs=1e-6)
    assert loss(result.model) <= of_head + 1e-6
    assert (result.best_epoch == 0) == all(of_head <= report.calibrated_loss for report in others)
    assert all(
        torch.equal(value, fitted.network.state_dict()[key])
        for key, value in result.model.state_dict().items() if result.best_epoch == 0
    )  # fmt: skip


@pytest.mark.parametrize("name", ALL)
def test_low_rank_changes_are_nothing_at_first_and_are_merged_as_they_are(name: str, laid: Laid) -> None:
    tuning = laid.tuning(name, "lora")
    network, few = tuning.network.eval(), tuning.splits.validation
    before_NK, names = predict_logits(network, few, CPU), list(network.state_dict())
    lora.add_low_rank(network, 2, [part.head for part in members(network).values()])
    assert torch.equal(predict_logits(network, few, CPU), before_NK)
    with torch.no_grad():
        for part in network.modules():
            if isinstance(part, lora.LowRank):
                part.up_R.normal_()
    changed_NK = predict_logits(network, few, CPU)
    lora.merge_low_rank(network)
    assert not torch.allclose(changed_NK, before_NK)
    torch.testing.assert_close(predict_logits(network, few, CPU), changed_NK, rtol=0, atol=lora.MERGED)
    assert sorted(network.state_dict()) == sorted(names)


def test_changes_that_do_not_merge_are_refused(laid: Laid, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lora, "MERGED", -1.0)
    with pytest.raises(
        TrainingError, match=r"finetune.mode=lora: expected logits within .* received 0; --set"
    ):
        fine_tuned(laid.tuning("rnn", "lora"))


@pytest.mark.parametrize("name", SHARED)
def test_a_fitted_head_tells_the_classes_apart_and_is_the_same_from_kept_features(
    name: str, laid: Laid
) -> None:
    first = fine_tuned(laid.tuning(name, "head"))
    kept = {path: path.read_bytes() for path in features_folder().iterdir()}
    assert len(kept) == 2 * len(members(first.model))
    again = fine_tuned(laid.tuning(name, "head"))
    assert {path: path.read_bytes() for path in features_folder().iterdir()} == kept
    assert all(
        torch.equal(value, again.model.state_dict()[key]) for key, value in first.model.state_dict().items()
    )
    assert first.history[first.best_epoch - 1].validation_accuracy > 1.5 / first.model(
        torch.zeros(1, 1, 28, 28) if name in IMAGES else torch.ones(1, 9, dtype=torch.int32)
    ).shape[1] * (1 if name in IMAGES else 0.75)


def test_samples_of_a_class_are_held_out_in_turn_and_none_is_seen_before_it_is_judged() -> None:
    labels_N = torch.tensor([2, 0, 2, 2, 1, 0, 2, 2, 2, 2])
    folds_N = folds.folds_of(labels_N)
    assert folds_N.tolist() == [0, 0, 1, 2, -1, 1, 3, 4, 0, 1]
    features_ND = torch.randn(10, 4, generator=torch.Generator().manual_seed(0))
    crossed = folds.CrossValidation([features_ND] * 2, labels_N, torch.ones(3), has_bias=True)
    found_MK, rows_M = crossed.logits(0.1), folds_N.argsort(stable=True)[1:]
    assert torch.equal(crossed.labels_M, labels_N[rows_M])
    for row_K, row in zip(found_MK, rows_M.tolist(), strict=True):
        seen_N = folds_N != folds_N[row]
        fit = Logistic(features_ND[seen_N], labels_N[seen_N], torch.ones(3), has_bias=True).fit(0.1)
        torch.testing.assert_close(row_K, nn.functional.linear(features_ND[row], fit.weight_KD, fit.bias_K))


@pytest.mark.parametrize("labels", [0, 10])
def test_validation_chooses_a_penalty_only_where_no_class_has_two_labels(labels: int, laid: Laid) -> None:
    def chosen(*, blind: bool) -> list[float]:
        tuning = laid.tuning("cnn", "head")
        train, validation = tuning.splits.train, tuning.splits.validation
        if labels:
            train = train.take(few_labels(train.labels_N, labels, seed=0))
        if blind:
            validation = replace(validation, labels_N=np.roll(validation.labels_N, 1))
        result = fine_tuned(
            replace(tuning, splits=replace(tuning.splits, train=train, validation=validation))
        )
        return [report.calibrated_loss for report in result.history]

    assert (chosen(blind=False) == chosen(blind=True)) == (labels == 0)


def test_penalties_end_where_weaker_ones_are_in_vain(laid: Laid, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "PENALTIES", (1e3, 1e-2, 1e2, 1e3, 1e4, 1e-2))
    result = fine_tuned(laid.tuning("cnn", "head"))
    assert [report.more["penalty"] for report in result.history] == [1e3, 1e-2, 1e2, 1e3, 1e4]
    assert result.best_epoch == 2


def test_kept_features_are_bounded(laid: Laid, monkeypatch: pytest.MonkeyPatch) -> None:
    fine_tuned(laid.tuning("cnn", "head"))
    size = sum(path.stat().st_size for path in features_folder().iterdir())
    monkeypatch.setattr(last_layer, "MOST_BYTES", size)
    fine_tuned(laid.tuning("resnet", "head"))
    assert sum(path.stat().st_size for path in features_folder().iterdir()) <= size


def test_a_logistic_regression_is_the_least_and_does_not_mind_the_scale_of_features() -> None:
    draw = torch.Generator().manual_seed(0)
    features_ND, labels_N = torch.randn(60, 4, generator=draw), torch.arange(60) % 3
    fits = [
        Logistic(features_ND * scale + shift, labels_N, torch.ones(3), has_bias=True).fit(1e-2)
        for scale, shift in ((1, 0), (100, 7))
    ]
    even, other = (
        nn.functional.linear(features_ND * scale + shift, fit.weight_KD, fit.bias_K)
        for fit, (scale, shift) in zip(fits, ((1, 0), (100, 7)), strict=True)
    )
    torch.testing.assert_close(even, other, rtol=1e-2, atol=1e-3)
    strong, weak = (
        Logistic(features_ND, labels_N, torch.ones(3), has_bias=True).fit(p) for p in (10.0, 1e-4)
    )
    assert weak.loss < fits[0].loss < strong.loss < np.log(3)


def test_rates_fall_from_the_head_to_the_stem(laid: Laid) -> None:
    network = laid.tuning("transformer", "full").network
    rates = layer_rates(network, 0.5)
    found = {
        name.rpartition(".")[0].split(".mlp")[0]: rates.get(value, 1.0)
        for name, value in network.named_parameters()
    }
    assert found["head"] == found["norm"] == 1
    assert found["blocks.1.qkv"] == 0.5 and found["blocks.0"] == 0.25 and found["stem"] == 0.125
    assert layer_rates(network, 1.0) == {}
    with pytest.raises(TrainingError, match=r"expected a network with stem and blocks, received Linear"):
        layer_rates(nn.Linear(2, 3), 0.5)


def test_a_network_that_ends_otherwise_is_refused_in_one_line(laid: Laid) -> None:
    few = laid.tuning("cnn", "head").splits.validation
    odd = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.Tanh())
    with pytest.raises(
        TrainingError, match=r"whose last layer is an nn.Linear with 10 outputs, received Seq"
    ):
        last_layer.last_layers(odd, 10, few, CPU)
    assert len(last_layer.last_layers(odd[:2], 10, few, CPU)) == 1
