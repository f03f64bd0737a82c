"""Objective, sampler, plan and update of a training, made from its configuration. N images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from modelyard.data.batches import Feed, network_input
from modelyard.data.datasets import Rows, Split
from modelyard.data.splits import Splits
from modelyard.errors import TrainingError
from modelyard.training.averaging import Averaging
from modelyard.training.config import TrainingConfig, batch_size_for
from modelyard.training.objectives import AnyObjectiveConfig
from modelyard.training.objectives.classification import Classification, class_weights
from modelyard.training.placement import Placement
from modelyard.training.plan import TrainingPlan
from modelyard.training.precision import check_precision, choose_precision, in_precision
from modelyard.training.protocols import AfterStep, Objective
from modelyard.training.samplers import AnySampler
from modelyard.training.samplers.balanced import Balanced
from modelyard.training.samplers.by_length import ByLength
from modelyard.training.samplers.hard import Hard
from modelyard.training.samplers.mixed import Mixed
from modelyard.training.samplers.shuffled import Shuffled
from modelyard.training.state import TrainState
from modelyard.training.updates import AnyUpdate
from modelyard.training.updates.eager import Eager


@dataclass(frozen=True, slots=True)
class Parts:
    """What a training is made of, but for its state."""

    feed: Feed
    validation: Feed
    objective: Objective
    sampler: AnySampler
    plan: TrainingPlan
    placement: Placement
    seed: int


def make_parts(
    splits: Splits, config: TrainingConfig, seed: int, placement: Placement,
    asked: AnyObjectiveConfig | None = None,
) -> Parts:  # fmt: skip
    """For these; `asked`: the objective, unless it is the classes alone.

    Raises: TrainingError for less than two; DeviceError for a precision that is not there.
    """
    check_precision(config.precision, placement.device)
    train = trained_on(splits.train, config)
    feed = Feed(train, placement.device)
    # evaluated from memory where each copy to the device would wait for the steps before it
    validation = Feed(splits.validation, placement.device, resident=_is_resident(placement))
    sampler = make_sampler(config, feed, train.lengths_N)
    plan = TrainingPlan.of(config, len(feed), sampler)
    return Parts(feed, validation, make_objective(config, feed, asked), sampler, plan, placement, seed)


def _is_resident(placement: Placement) -> bool | None:
    return None if placement.device.type == "cuda" else False


def trained_on(split: Split, config: TrainingConfig) -> Split:
    """Of the samples as many as are asked, evenly spaced: those of a folder come class by class.

    Raises: TrainingError for less than two.
    """
    count = config.max_train_images or len(split)
    if min(count, len(split)) < 2:  # batch norm has no variance of one
        raise TrainingError(
            f"expected at least 2 {split.form.names.many} to train on, received {min(count, len(split))}; "
            "allow or add more"
        )
    return split.take(np.arange(count) * len(split) // count) if count < len(split) else split


def make_objective(config: TrainingConfig, feed: Feed, asked: AnyObjectiveConfig | None = None) -> Objective:
    """Where sampling balances the classes already, no weight is left to do so."""
    is_weighed = config.class_weights == "balanced" and config.sampling == "natural"
    weights_K = class_weights(feed.labels_N) if is_weighed else None
    base = Classification(config.augment, config.label_smoothing, weights_K)
    return asked.objective(base, feed) if asked else base


def make_sampler(config: TrainingConfig, feed: Feed, lengths_N: Rows | None) -> AnySampler:
    """Those of like length together, where they differ in it; with unlabelled ones, where something is learnt
    of them.
    """
    lengths = None if lengths_N is None else torch.from_numpy(lengths_N)
    if config.unlabelled is not None:
        return _mixed(config, config.unlabelled.ratio, feed.labels_N.cpu(), lengths)
    sampler = _sampler_of_rows(config, feed)
    return sampler if lengths is None else ByLength(sampler, lengths)


def _sampler_of_rows(config: TrainingConfig, feed: Feed) -> AnySampler:
    """Each class as often as it occurs or all equally often; all samples, or hard ones and some others."""
    batch_size = batch_size_for(config, len(feed))
    if config.sampling == "balanced":
        return Balanced(feed.labels_N.cpu(), batch_size, config.hard_share)
    if config.hard_share < 1:
        return Hard(len(feed), batch_size, config.hard_share)
    return Shuffled(len(feed), batch_size)


def _mixed(config: TrainingConfig, ratio: float, labels_N: Tensor, lengths_N: Tensor | None) -> Mixed:
    batch_size = batch_size_for(config, len(labels_N))
    known_L, unknown_U = (labels_N >= 0).nonzero()[:, 0], (labels_N < 0).nonzero()[:, 0]
    known_L = known_L if len(known_L) > 1 else known_L.repeat(2)  # a batch has two rows
    is_balanced = config.sampling == "balanced"
    own = Balanced(labels_N[known_L], batch_size) if is_balanced else Shuffled(len(known_L), batch_size)
    return Mixed(own, known_L, unknown_U, batch_size, ratio, lengths_N)


def make_update(state: TrainState, config: TrainingConfig, parts: Parts) -> AnyUpdate:
    """Operation by operation, or what torch.compile makes of the network."""
    network: nn.Module = torch.compile(state.network) if config.compile else state.network  # type: ignore[assignment]
    forward = in_precision(network, state.precision, parts.placement.device)
    return Eager(parts.objective, parts.placement, parts.plan, forward, config.clip_norm)


def make_after_steps(state: TrainState, config: TrainingConfig) -> tuple[AfterStep, ...]:
    """The average of the weights, where one is kept."""
    return (Averaging(state, config.ema_decay),) if state.average else ()


def first_precision(model: nn.Module, config: TrainingConfig, parts: Parts, memory: Path | None) -> str:
    """The recipe's, or what suits this machine best."""
    if config.precision != "auto":
        return config.precision
    rows_B = torch.arange(min(batch_size_for(config, len(parts.feed)), len(parts.feed)))
    (batch,) = parts.feed.batches([rows_B])
    return choose_precision(model, network_input(batch.inputs[0]), batch.labels_B.clamp(min=0), memory)
