"""The training loop: a run is a pure function of (recipe, data, seed) on one type of device.

B batch, C channels, H height, W width, K classes, N images.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from modelyard.data.splits import Splits
from modelyard.errors import TrainingError
from modelyard.evaluation.predict import evaluation_mode
from modelyard.progress import EpochReport
from modelyard.training.adapt.rates import layer_rates
from modelyard.training.checkpoint import (
    Pace,
    is_readable,
    load_checkpoint,
    save_checkpoint,
    told_when_damaged,
)
from modelyard.training.config import TrainingConfig
from modelyard.training.kernels import equal_seeds_equal_weights
from modelyard.training.objectives import AnyObjectiveConfig
from modelyard.training.parts import Parts, first_precision, make_after_steps, make_parts, make_update
from modelyard.training.placement import Placement
from modelyard.training.precision import in_precision
from modelyard.training.protocols import AfterStep, Scores, Update
from modelyard.training.state import TrainState


@dataclass(slots=True)
class TrainResult:
    """The chosen weights (in `model`) and the way there."""

    model: nn.Module
    history: list[EpochReport] = field(default_factory=list)
    precision: str = "fp32"
    best_epoch: int = 0
    train_samples: int = 0
    seconds: float = 0.0
    """Of all epochs and what came before them, over all processes that took part."""
    checkpoint_seconds: float = 0.0
    """Of them, what the checkpoints of the last process took."""


OnEpoch = Callable[[EpochReport], None]


def train(  # noqa: PLR0913 - what a run is a function of, and who is told
    model: nn.Module, splits: Splits, config: TrainingConfig, *, seed: int, placement: Placement,
    asked: AnyObjectiveConfig | None = None, layer_decay: float = 1.0,
    checkpoint: Path | None = None, probe_memory: Path | None = None,
    on_epoch: OnEpoch = lambda report: None,
) -> TrainResult:  # fmt: skip
    """Train `model` and give it back with the weights of the best validation epoch.

    `asked` is what makes another objective than that of the classes; `layer_decay` the learning rate of a
    block over that of the one above it; `probe_memory` is the file in which the
    answers of the precision probe are kept.

    Raises: TrainingError for less than two images, or when the loss is not finite; the last good checkpoint
    stays. DeviceError for a precision that the device lacks.
    """
    began, pace = time.perf_counter(), Pace()
    with equal_seeds_equal_weights(placement.device):
        parts = make_parts(splits, config, seed, placement, asked)
        network = placement.place(parts.objective.network(model))
        optimizer = config.optimizer.build(network, layer_rates(model, layer_decay))
        state = TrainState.fresh(network, optimizer, len(parts.feed), averaged=config.ema_decay > 0)
        _begin(state, parts, checkpoint, partial(first_precision, model, config, parts, probe_memory))
        update, after = make_update(state, config, parts), make_after_steps(state, config)
        began -= sum(report.seconds for report in state.history)
        while not placement.agree(_is_over(state, config, parts)):
            report = _epoch(state, parts, update, after)
            if checkpoint is not None and placement.agree(pace.is_due()):
                with pace:
                    _save(state, placement, checkpoint)
            on_epoch(report)
        state.network.load_state_dict(state.best)
    best = state.best_report
    assert best is not None
    seconds = time.perf_counter() - began
    return TrainResult(
        model.eval(), state.history, state.precision, best.epoch, len(parts.feed), seconds, pace.total
    )


def _begin(state: TrainState, parts: Parts, checkpoint: Path | None, probe: Callable[[], str]) -> None:
    """Before the first epoch, in the precision of `probe`; or after the last one of the checkpoint.

    Raises: TrainingError.
    """
    device = parts.placement.device
    if checkpoint is not None and parts.placement.agree(is_readable(checkpoint)):
        with told_when_damaged(checkpoint):
            tensors, numbers = load_checkpoint(checkpoint)
            parts.placement.restore(state, tensors)
            state.load_numbers(numbers, device)
    else:
        state.use(parts.placement.agree(probe()), device)


def _save(state: TrainState, placement: Placement, checkpoint: Path) -> None:
    tensors = placement.whole(state)
    if placement.rank == 0:
        save_checkpoint(checkpoint, tensors, state.numbers())


def _is_over(state: TrainState, config: TrainingConfig, parts: Parts) -> bool:
    """All epochs are done, or the last ones were no better."""
    best, done = state.best_report, len(state.history)
    is_stale = best is not None and 0 < config.patience <= done - best.epoch
    return done >= parts.plan.epochs or is_stale


def _epoch(
    state: TrainState, parts: Parts, update: Update, after_steps: tuple[AfterStep, ...]
) -> EpochReport:
    """One pass and its validation. All randomness follows from (seed, epoch)."""
    started, epoch, placement = time.perf_counter(), len(state.history), parts.placement
    order_draw, draw = _generators(parts.seed, epoch, placement.device)
    batches = parts.sampler.batches(epoch, state.losses_N, order_draw)
    shares, losses = [placement.share(rows_B) for rows_B in batches], list[Tensor]()
    state.network.train()
    for batch, moment in zip(parts.feed.batches(shares), parts.plan.moments(epoch, draw), strict=True):
        losses.append(update(state, batch, moment))
        for after in after_steps:
            after(state, moment)
    train_loss = _take_over(state, shares, losses, parts)
    with state.averaged():
        scores = _validated(state, parts)
        seconds, steps = time.perf_counter() - started, len(losses)
        left = len(parts.plan.rates) - parts.plan.before(epoch + 1)
        report = EpochReport(
            epoch + 1, parts.plan.epochs, train_loss, scores.validation_loss, scores.validation_accuracy,
            parts.plan.rates[moment.step], seconds, seconds * left / steps, scores.calibrated_loss,
            parts.objective.report(),
        )  # fmt: skip
        state.finish(report)
    return report


def _generators(seed: int, epoch: int, device: torch.device) -> tuple[torch.Generator, torch.Generator]:
    """What draws the order of rows, and the views, on the device; on a CPU they are one."""
    epoch_seed = seed * 1_000_003 + epoch
    torch.manual_seed(epoch_seed)  # dropout
    order = torch.Generator().manual_seed(epoch_seed)
    return order, order if device.type == "cpu" else torch.Generator(device).manual_seed(epoch_seed)


def _take_over(state: TrainState, shares: list[Tensor], losses: list[Tensor], parts: Parts) -> float:
    """Remember the loss of each row, the last of those that came twice; gives the mean over the steps.

    Raises: TrainingError when it is not finite.
    """
    losses_M = torch.cat(losses).cpu()
    state.losses_N.numpy()[torch.cat(shares).numpy()] = losses_M.numpy()
    total = torch.zeros(())
    for losses_B in torch.split(losses_M, [len(rows_B) for rows_B in shares]):
        total += losses_B.mean()
    train_loss = parts.placement.agree(total.item() / len(losses))
    if not math.isfinite(train_loss):
        done = len(state.history)
        raise TrainingError(
            f"the loss of epoch {done + 1} is not finite ({train_loss}); lower "
            f"training.optimizer.learning_rate (now {max(parts.plan.rates):g}); the checkpoint of {done} "
            "good epochs is kept"
        )
    return train_loss


def _validated(state: TrainState, parts: Parts) -> Scores:
    """Of the network's weights, in evaluation mode."""
    network = in_precision(state.network, state.precision, parts.placement.device)
    with evaluation_mode(state.network):
        return parts.placement.agree(parts.objective.validate(network, parts.validation))
