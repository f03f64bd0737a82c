"""The training loop. A run is a pure function of (recipe, data, seed) on a CPU; on CUDA kernels may add in
any order.

B batch, C channels, H height, W width, K classes, N images.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from modelyard.data.augmentation import augment
from modelyard.data.batches import ImageFeed, to_unit_range
from modelyard.data.datasets import Split
from modelyard.data.splits import Splits
from modelyard.errors import TrainingError
from modelyard.evaluation.predict import calibrated_loss, predict_logits
from modelyard.progress import EpochReport
from modelyard.training.averaging import Averaging, decay_at
from modelyard.training.checkpoint import Pace
from modelyard.training.config import TrainingConfig, batch_size_for, num_epochs, steps_before
from modelyard.training.precision import autocast, choose_precision
from modelyard.training.selection import choose_images, class_weights
from modelyard.training.state import TrainState


@dataclass(slots=True)
class TrainResult:
    """The chosen weights (in `model`) and the way there."""

    model: nn.Module
    history: list[EpochReport] = field(default_factory=list)
    precision: str = "fp32"
    best_epoch: int = 0
    train_images: int = 0
    seconds: float = 0.0
    """Of all epochs and what came before them, over all processes that took part."""
    checkpoint_seconds: float = 0.0
    """Of them, what the checkpoints of the last process took."""


OnEpoch = Callable[[EpochReport], None]


def train(  # noqa: PLR0913 - what a run is a function of, and who is told
    model: nn.Module, splits: Splits, config: TrainingConfig, *, seed: int, device: torch.device,
    checkpoint: Path | None = None, probe_memory: Path | None = None, on_epoch: OnEpoch = lambda report: None,
) -> TrainResult:  # fmt: skip
    """Train `model` and give it back with the weights of the best validation epoch.

    `probe_memory` is the file in which the answers of the precision probe are kept.

    Raises: TrainingError for less than two images, or when the loss is not finite; the last good checkpoint
    stays.
    """
    began = time.perf_counter()
    feed = ImageFeed(_some(splits.train, config.max_train_images or len(splits.train)), device)
    model = model.to(device).to(memory_format=torch.channels_last)
    if checkpoint is not None and checkpoint.exists():
        state = TrainState.restored(model, config.optimizer.build(model), len(feed), checkpoint)
    else:
        precision = _first_precision(model, config, feed, probe_memory)
        state = TrainState.fresh(model, config.optimizer.build(model), len(feed), precision)
    epochs, pace = num_epochs(config, len(feed)), Pace()
    began -= sum(report.seconds for report in state.history)
    while len(state.history) < epochs and not _is_stale(state, config):
        report = _epoch(state, config, feed, splits.validation, (seed, epochs))
        state.history.append(report)
        if state.best is report:
            state.models["best"].load_state_dict(state.models["average"].state_dict())
        if checkpoint is not None and pace.is_due():
            with pace:
                state.save(checkpoint)
        on_epoch(report)
    assert state.best is not None
    seconds = time.perf_counter() - began
    return TrainResult(
        state.models["best"].eval(),
        state.history,
        state.precision,
        state.best.epoch,
        len(feed),
        seconds,
        pace.total,
    )


def _some(split: Split, count: int) -> Split:
    """At most `count` images, evenly spaced: those of a folder come class by class. Raises: TrainingError."""
    if min(count, len(split)) < 2:  # batch norm has no variance of one
        raise TrainingError(
            f"expected at least 2 images to train on, received {min(count, len(split))}; allow or add more"
        )
    return split.take(np.arange(count) * len(split) // count) if count < len(split) else split


def _first_precision(model: nn.Module, config: TrainingConfig, feed: ImageFeed, memory: Path | None) -> str:
    """The recipe's, or what suits this machine best."""
    if config.precision != "auto":
        return config.precision
    images_BCHW, labels_B = feed.rows(torch.arange(min(batch_size_for(config, len(feed)), len(feed))))
    images_BCHW = to_unit_range(images_BCHW).contiguous(memory_format=torch.channels_last)
    return choose_precision(model, images_BCHW, labels_B, memory)


def _is_stale(state: TrainState, config: TrainingConfig) -> bool:
    best = state.best
    return bool(config.patience and best and len(state.history) - best.epoch >= config.patience)


def _epoch(
    state: TrainState, config: TrainingConfig, feed: ImageFeed, validation: Split, plan: tuple[int, int]
) -> EpochReport:
    """One pass and its validation; `plan` is (seed, epochs). All randomness follows from (seed, epoch)."""
    started, epoch = time.perf_counter(), len(state.history)
    seed, epochs = plan
    epoch_seed = seed * 1_000_003 + epoch
    torch.manual_seed(epoch_seed)  # dropout
    generator = torch.Generator().manual_seed(epoch_seed)
    model, losses = (state.models["model"].train(), torch.zeros((), device=feed.labels_N.device))
    averaging = Averaging(state.models["average"], model)
    forward = torch.compile(model) if config.compile else model
    first, steps = (steps_before(config, len(feed), number) for number in (epoch, epochs))
    balanced_N = feed.labels_N if config.sampling == "balanced" else None
    order_M = choose_images(state.losses_N, config.hard_share if epoch else 1.0, generator, balanced_N)
    weights_K = class_weights(feed.labels_N, config.class_weights) if balanced_N is None else None
    step = first
    for rows_B, images_BCHW, labels_B in feed.batches(order_M, batch_size_for(config, len(feed))):
        rate = config.optimizer.rate_at(step, steps)
        augmented_BCHW = augment(images_BCHW, config.augment, generator)
        losses_B = _step(forward, state, (augmented_BCHW, labels_B, weights_K), config, rate)
        state.losses_N[rows_B] = losses_B
        losses += losses_B.mean()
        averaging.update(decay_at(step, config.ema_decay))
        step += 1
    train_loss = losses.item() / max(1, step - first)
    if not math.isfinite(train_loss):
        raise TrainingError(
            f"the loss of epoch {epoch + 1} is not finite ({train_loss}); lower "
            "training.optimizer.learning_rate"
            f" (now {config.optimizer.learning_rate:g}); the checkpoint of {epoch} good epochs is kept"
        )
    with autocast(state.precision, feed.labels_N.device):
        logits_NK = predict_logits(state.models["average"], validation, feed.labels_N.device)
    labels_N = torch.tensor(validation.labels_N)
    seconds = time.perf_counter() - started
    return EpochReport(
        epoch + 1, epochs, train_loss, functional.cross_entropy(logits_NK, labels_N).item(),
        (logits_NK.argmax(1) == labels_N).float().mean().item(), rate, seconds,
        seconds * (steps - step) / max(1, step - first), calibrated_loss(logits_NK, labels_N),
    )  # fmt: skip


Batch = tuple[Tensor, Tensor, Tensor | None]
"""Images [B, C, H, W], labels [B], and what each class counts [K]."""


def _step(
    forward: Callable[[Tensor], Tensor], state: TrainState, batch: Batch, config: TrainingConfig, rate: float
) -> Tensor:
    """One optimizer step; gives the detached losses [B], weighted."""
    images_BCHW, labels_B, weights_K = batch
    model, optimizer = state.models["model"], state.optimizer
    with autocast(state.precision, images_BCHW.device):
        logits_BK = forward(images_BCHW.contiguous(memory_format=torch.channels_last))
    losses_B = functional.cross_entropy(
        logits_BK.float(), labels_B, label_smoothing=config.label_smoothing, reduction="none"
    )
    if weights_K is not None:
        losses_B = losses_B * weights_K[labels_B]
    optimizer.zero_grad(set_to_none=True)
    state.scaler.scale(losses_B.mean()).backward()  # type: ignore[no-untyped-call]
    state.scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
    for group in optimizer.param_groups:
        group["lr"] = rate
    state.scaler.step(optimizer)
    state.scaler.update()
    return losses_B.detach()
