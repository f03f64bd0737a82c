"""Laws of pre-training: a resume changes nothing, what is asked for is hidden, no state knows what comes, no
label has a say.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from modelyard.config import change
from modelyard.data.augmentation import AugmentConfig
from modelyard.data.batches import Batch, Feed
from modelyard.data.datasets import Dataset, Split
from modelyard.data.splits import Splits
from modelyard.data.symbol_augmentation import SymbolAugment
from modelyard.errors import ConfigError
from modelyard.models import (
    AnyModelConfig,
    CnnConfig,
    RnnConfig,
    TextCnnConfig,
    TextRnnConfig,
    TextTransformerConfig,
    TransformerConfig,
)
from modelyard.models.sequence import SequenceNetwork
from modelyard.progress import EpochReport
from modelyard.samples import ImageForm, TextForm
from modelyard.samples.ragged import ragged
from modelyard.samples.symbols import UNKNOWN
from modelyard.training.config import TrainingConfig
from modelyard.training.loop import train
from modelyard.training.objectives import (
    AnyPretext,
    CausalConfig,
    Classification,
    ContrastiveConfig,
    MaskedConfig,
    RotationConfig,
)
from modelyard.training.objectives.hidden_patches import HiddenPatches
from modelyard.training.objectives.pretext import Pretext, probe_accuracy
from modelyard.training.optim import OptimizerConfig
from modelyard.training.placement import Single
from modelyard.training.protocols import Moment

CPU, DIGIT, LINE = torch.device("cpu"), ImageForm(1, 28, 28), TextForm(120)
SMALL = {"ngrams": 2, "words": 1, "embedding": 16, "buckets": 64}
OF_IMAGES: dict[str, AnyModelConfig] = {
    "cnn": CnnConfig(width=4), "resnet": CnnConfig(variant="resnet", width=4), "rnn": RnnConfig(hidden=16),
    "transformer": TransformerConfig(width=16, layers=1), "vit": TransformerConfig(variant="vit", width=16),
    "two": CnnConfig(width=4, members=2, mirrored=True),
}  # fmt: skip
OF_TEXTS: dict[str, AnyModelConfig] = {
    "cnn": TextCnnConfig(width=16, patch=2, **SMALL),
    "textcnn": TextCnnConfig(variant="textcnn", width=8),
    "charcnn": TextCnnConfig(variant="charcnn", width=8),
    "rnn": TextRnnConfig(hidden=8, **SMALL),
    "lstm": TextRnnConfig(variant="lstm", hidden=8, embedding=8),
    "transformer": TextTransformerConfig(width=16, layers=1, **SMALL),
    "encoder": TextTransformerConfig(variant="encoder", width=16, embedding=16),
    "two": TextTransformerConfig(width=16, layers=1, members=2, **SMALL),
}
WAYS: list[tuple[AnyPretext, str, str]] = [
    *(
        (way(), "image", name)
        for way in (MaskedConfig, RotationConfig, ContrastiveConfig)
        for name in OF_IMAGES
    ),
    *((way(), "text", name) for way in (MaskedConfig, CausalConfig, ContrastiveConfig) for name in OF_TEXTS),
    *((MaskedConfig(told_by="states"), "text", name) for name in OF_TEXTS),
]
IDS = [f"{way.method} {kind} {name}{' of states' * ('states' in repr(way))}" for way, kind, name in WAYS]
FEW = TrainingConfig(epochs=2, batch_size=32, precision="fp32", optimizer=OptimizerConfig(learning_rate=1e-3))


def sentences(module: ModuleType) -> list[bytes]:
    docs = (inspect.getdoc(getattr(module, name)) or "" for name in dir(module) if name[0] != "_")
    return sorted({doc.partition(".")[0][:120].encode() for doc in docs if doc.strip()})


@cache
def lines() -> Splits:
    """Which package does a docstring belong to?"""
    by_class = [sentences(module)[:60] for module in (np, torch)]
    rows = [np.frombuffer(line, np.uint8) for some in by_class for line in some]
    whole = Split(ragged(rows, LINE, np.int32), np.repeat(np.arange(2), [len(some) for some in by_class]))
    held_out_N = np.arange(len(whole)) % 4 == 0
    first, second = (whole.take(np.flatnonzero(mask)) for mask in (~held_out_N, held_out_N))
    return Splits(first, second, second)


@pytest.fixture
def splits_of(digits: Dataset) -> Callable[[str], Splits]:
    few = Splits(*(digits.train.take(np.arange(start, start + 70)) for start in (0, 70, 140)))
    return {"image": few, "text": lines()}.__getitem__


def model_of(kind: str, name: str) -> nn.Module:
    torch.manual_seed(3)
    config, form = {"image": (OF_IMAGES, DIGIT), "text": (OF_TEXTS, LINE)}[kind]
    return config[name].build(form, 10)


def config_of(kind: str) -> TrainingConfig:
    return change(FEW, augment=SymbolAugment()) if kind == "text" else FEW


def objective_of(way: AnyPretext, split: Split, kind: str) -> Any:
    return way.objective(Classification(config_of(kind).augment), Feed(split, CPU))


def moment(seed: int = 0) -> Moment:
    return Moment(0, 1, 0, torch.Generator().manual_seed(seed))


def batch_of(split: Split, count: int = 32) -> Batch:
    (batch,) = Feed(split, CPU).batches([torch.arange(min(count, len(split)))])
    return batch


@pytest.mark.parametrize(("way", "kind", "name"), WAYS, ids=IDS)
def test_all_but_the_head_moves_and_a_resume_equals_no_interruption(
    way: AnyPretext, kind: str, name: str, splits_of: Callable[[str], Splits], tmp_path: Path
) -> None:
    splits = splits_of(kind)

    def run(checkpoint: Path, stop_after: int) -> tuple[dict[str, Tensor], list[EpochReport]]:
        def stop(report: EpochReport) -> None:
            if report.epoch == stop_after:
                raise KeyboardInterrupt

        result = train(
            model_of(kind, name), splits, config_of(kind), seed=3, placement=Single(CPU), asked=way,
            checkpoint=checkpoint, on_epoch=stop,
        )  # fmt: skip
        return result.model.state_dict(), result.history

    whole, history = run(tmp_path / "whole", 99)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", 1)
    resumed, _ = run(tmp_path / "cut", 99)
    assert whole.keys() == model_of(kind, name).state_dict().keys()
    assert [weight for weight in whole if not torch.equal(whole[weight], resumed[weight])] == []
    first = dict(model_of(kind, name).named_parameters())
    of_places = way.method == "causal" or "states" in repr(way)
    unasked = ("head.", *UNASKED.get(name, ())) if of_places else ("head.",)
    stays = [weight for weight, value in first.items() if torch.equal(value, whole[weight])]
    assert [weight for weight in stays if not MEMBER.sub("", weight).startswith(unasked)] == []
    assert all(weight in stays for weight in first if ".head." in f".{weight}")
    assert history[-1].calibrated_loss == history[-1].validation_loss
    assert 0 <= history[-1].validation_accuracy <= 1


UNASKED = {"charcnn": ("blocks.6.", "blocks.7."), "rnn": ("blocks.0.backwards.",)}
"""What no state of a place depends on, or none that knows only what came before."""
MEMBER = re.compile(r"^(network\.)?networks\.\d\.")


def test_labels_change_nothing_of_what_is_learnt(splits_of: Callable[[str], Splits]) -> None:
    splits, weights = splits_of("image"), list[dict[str, Tensor]]()
    for labels_N in (splits.train.labels_N, splits.train.labels_N[::-1].copy()):
        other = replace(splits, train=replace(splits.train, labels_N=labels_N))
        model = model_of("image", "cnn")
        train(model, other, FEW, seed=3, placement=Single(CPU), asked=MaskedConfig())
        weights.append(model.state_dict())
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


@pytest.mark.parametrize("run", [1, 3])
def test_symbols_are_hidden_in_their_share_and_padding_stays(run: int) -> None:
    batch = batch_of(lines().train, 80)
    seen = objective_of(MaskedConfig(run=run, share=0.3), lines().train, "text").views(batch, moment())
    (given_BL,), (seen_BL, hidden_BL) = batch.inputs, seen.inputs
    is_there_BL = given_BL != 0
    assert torch.equal(seen_BL[~hidden_BL], given_BL[~hidden_BL]) and not hidden_BL[~is_there_BL].any()
    assert torch.equal(seen_BL != 0, is_there_BL)
    assert (hidden_BL.sum() / is_there_BL.sum()).item() == pytest.approx(0.3, abs=0.04)
    ways = seen_BL[hidden_BL], given_BL[hidden_BL]
    assert (ways[0] == UNKNOWN).float().mean().item() == pytest.approx(0.8, abs=0.04)
    assert (ways[0] == ways[1]).float().mean().item() == pytest.approx(0.1, abs=0.04)
    assert torch.equal(seen.columns["target"], given_BL)


def test_hidden_squares_are_grey_and_what_is_asked_for(digits: Dataset) -> None:
    split = digits.train.take(np.arange(64))
    still = Classification(AugmentConfig(shift=0))
    objective = MaskedConfig(share=0.25).objective(still, Feed(split, CPU))
    assert isinstance(objective, HiddenPatches)
    seen = objective.views(batch_of(split, 64), moment())
    images_BCHW, hidden_B1HW = seen.inputs
    target_BCHW = seen.columns["target"]
    assert (images_BCHW[hidden_B1HW] == 0.5).all()
    assert torch.equal(images_BCHW[~hidden_B1HW], target_BCHW[~hidden_B1HW])
    assert hidden_B1HW.float().mean().item() == pytest.approx(0.25, abs=0.02)
    right = target_BCHW.flatten(1)
    assert (objective.losses(right, seen) == 0).all()
    assert objective.losses(right + hidden_B1HW.flatten(1), seen).tolist() == pytest.approx([1.0] * 64)
    assert (objective.losses(right + ~hidden_B1HW.flatten(1), seen) == 0).all()


def test_large_images_are_predicted_in_few_places() -> None:
    split = Split(np.random.default_rng(0).integers(0, 255, (4, 3, 150, 70), np.uint8), np.zeros(4, np.int64))
    objective = objective_of(MaskedConfig(), split, "image")
    seen = objective.views(batch_of(split), moment())
    assert seen.inputs[0].shape == (4, 3, 150, 70) and seen.columns["target"].shape == (4, 3, 30, 14)
    network = objective.network(CnnConfig(width=4).build(split.form, 2))
    assert network(*seen.inputs).shape == (4, 3 * 30 * 14)
    assert objective.losses(network(*seen.inputs), seen).shape == (4,)


@pytest.mark.parametrize("name", [name for name in OF_TEXTS if name != "two"])
def test_no_state_knows_what_comes(name: str) -> None:
    """A symbol that changes changes nothing that is told of it or of one before it."""
    objective = objective_of(CausalConfig(), lines().train, "text")
    network = objective.network(model_of("text", name)).eval()
    assert isinstance(network.network, SequenceNetwork)
    symbols_BL = batch_of(lines().train, 4).inputs[0].clamp(min=1)
    length = symbols_BL.shape[1]

    def told_BLV(given_BL: Tensor) -> Tensor:
        with torch.no_grad():
            told: Tensor = network(given_BL, given_BL != 0).unflatten(0, given_BL.shape)
        return told

    before_BLV = told_BLV(symbols_BL)
    for place in (0, 1, length // 2, length - 1):
        changed_BL = symbols_BL.clone()
        changed_BL[:, place] = symbols_BL[:, place] % 200 + 7
        after_BLV = told_BLV(changed_BL)
        assert torch.equal(after_BLV[:, : place + 1], before_BLV[:, : place + 1])
    assert not torch.equal(told_BLV(symbols_BL.flip(1))[:, -1], before_BLV[:, -1])


def test_two_views_find_each_other() -> None:
    config = ContrastiveConfig(temperature=0.5)
    objective = objective_of(config, lines().train, "text")
    seen = objective.views(batch_of(lines().train, 2), moment())
    outputs = torch.tensor([[2.0, 0], [1, 0], [0, 3], [0, 1]])
    expected = np.log(np.exp(2) + 2) - 2
    assert objective.losses(outputs, seen).tolist() == pytest.approx([expected] * 2)
    first_BL, second_BL = seen.inputs[0][0::2], seen.inputs[0][1::2]
    assert torch.equal(first_BL == 0, second_BL == 0) and not torch.equal(first_BL, second_BL)
    assert objective.coupling == "batch"


def test_turns_are_told_as_they_were_made(digits: Dataset) -> None:
    split = digits.train.take(np.arange(40))
    objective = RotationConfig().objective(Classification(AugmentConfig(shift=0)), Feed(split, CPU))
    batch = batch_of(split, 40)
    turned_BCHW, turns_B = objective.views(batch, moment()).inputs
    back = torch.stack(
        [image.rot90(-int(turn), (1, 2)) for image, turn in zip(turned_BCHW, turns_B, strict=True)]
    )
    assert torch.equal(back, batch.inputs[0] / 255) and set(turns_B.tolist()) == {0, 1, 2, 3}
    oblong = Split(np.zeros((8, 1, 28, 20), np.uint8), np.zeros(8, np.int64))
    seen = objective_of(RotationConfig(), oblong, "image").views(batch_of(oblong), moment())
    assert seen.inputs[0].shape == (8, 1, 28, 20) and set(seen.inputs[1].tolist()) <= {0, 1}


@pytest.mark.parametrize("width", [3, 90])
def test_the_probe_is_ridge_regression(width: int) -> None:
    from sklearn.linear_model import RidgeClassifier
    from sklearn.preprocessing import StandardScaler

    draw = np.random.default_rng(0)
    labels_N = draw.integers(0, 4, 80)
    images_N = (draw.normal(size=(4, width))[labels_N] * 20 + draw.normal(size=(80, width)) * 15 + 128).clip(
        0, 255
    )
    samples_N = images_N.astype(np.uint8)[:, None, None, :]
    known, asked = (Split(samples_N[part], labels_N[part]) for part in (slice(50), slice(50, 80)))
    found = probe_accuracy(lambda samples_B: samples_B.flatten(1), Feed(known, CPU), Feed(asked, CPU))
    flat = samples_N.reshape(80, width) / 255
    scaler = StandardScaler().fit(flat[:50])
    scaled = scaler.transform(flat) * np.sqrt(49 / 50)  # torch's deviation is that of a sample
    expected = RidgeClassifier(alpha=5.0).fit(scaled[:50], labels_N[:50]).score(scaled[50:], labels_N[50:])
    assert found == pytest.approx(expected)


def test_the_probe_knows_labelled_training_samples_alone(digits: Dataset) -> None:
    labels_N = digits.train.labels_N[:50].copy()
    labels_N[::2] = -1
    split = replace(digits.train.take(np.arange(50)), labels_N=labels_N)
    objective = objective_of(MaskedConfig(), split, "image")
    assert isinstance(objective, Pretext)
    assert objective.probed.labels_N.tolist() == labels_N[1::2].tolist()


@pytest.mark.parametrize(("way", "kind"), [(RotationConfig(), "text"), (CausalConfig(), "image")])
def test_a_way_that_samples_do_not_have_is_refused(way: AnyPretext, kind: str) -> None:
    form = {"image": DIGIT, "text": LINE}[kind]
    with pytest.raises(
        ConfigError, match=rf"^pretrain.method={way.method}: expected samples of kind \w+, rec"
    ):
        way.check(form, model_of(kind, "cnn"))


def test_a_network_without_features_or_states_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"expected a network of ours, which has features, received Linear$"
    ):
        MaskedConfig().check(DIGIT, nn.Linear(2, 2))
    with pytest.raises(ConfigError, match=r"^pretrain.told_by=states: expected a network with a state for"):
        MaskedConfig(told_by="states").check(DIGIT, model_of("image", "cnn"))
    MaskedConfig(told_by="states").check(LINE, model_of("text", "cnn"))
