"""The training loop. A run is a pure function of (recipe, data, seed) on one device type.

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
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from modelyard.config import Config
from modelyard.data.batches import AugmentConfig, ImageFeed, augment, to_unit_range
from modelyard.data.datasets import Split
from modelyard.data.splits import Splits
from modelyard.errors import TrainingError
from modelyard.training.optim import OptimizerConfig
from modelyard.training.precision import Precision, autocast, choose_precision
from modelyard.training.state import EpochReport, TrainState


class TrainingConfig(Config):
    """How long and how a model is trained."""

    epochs: int = Field(6, ge=1)
    """Passes over the training images."""
    min_steps: int = Field(0, ge=0)
    """Small data sets: epochs are added until this many optimizer steps are reached."""
    max_train_images: int = Field(0, ge=0)
    """Use only the first images of the training split; 0 uses all."""
    batch_size: int = Field(256, ge=2)
    """Images of one optimizer step, at most."""
    min_steps_per_epoch: int = Field(20, ge=1)
    """Small data sets: the batch shrinks, down to 32 images, until an epoch has this many steps."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Szegedy et al. 2016."""
    ema_decay: float = Field(0.0, ge=0, lt=1)
    """Moving average of the weights per step; 0 is off. The average is what is evaluated and exported."""
    clip_norm: float = Field(1.0, gt=0)
    """Largest gradient norm."""
    patience: int = Field(0, ge=0)
    """Stop after this many epochs without a better validation loss; 0 never stops early."""
    precision: Precision = "auto"
    """`auto` takes bf16 where a probe shows that it is faster; fp16 scales the loss (Micikevicius et al. 2018)."""
    compile: bool = False
    """torch.compile: only worth its start-up in long runs."""
    optimizer: OptimizerConfig = OptimizerConfig()
    augment: AugmentConfig = AugmentConfig()


MIN_BATCH = 32


@dataclass(slots=True)
class TrainResult:
    """The chosen weights (in `model`) and the way there."""

    model: nn.Module
    history: list[EpochReport] = field(default_factory=list)
    precision: str = "fp32"
    best_epoch: int = 0
    train_images: int = 0


OnEpoch = Callable[[EpochReport], None]


def train(  # noqa: PLR0913 - what a run is a function of, and who is told
    model: nn.Module, splits: Splits, config: TrainingConfig, *, seed: int, device: torch.device,
    checkpoint: Path | None = None, probe_memory: Path | None = None, on_epoch: OnEpoch = lambda report: None,
) -> TrainResult:  # fmt: skip
    """Train `model` and give it back with the weights of the best validation epoch.

    `probe_memory` is the file in which the answers of the precision probe are kept.

    Raises: TrainingError when the loss is not finite; the last good checkpoint stays.
    """
    split = splits.train if not config.max_train_images else _first(splits.train, config.max_train_images)
    feed = ImageFeed(split, device)
    model = model.to(device).to(memory_format=torch.channels_last)
    if checkpoint is not None and checkpoint.exists():
        state = TrainState.restored(model, config.optimizer.build(model), checkpoint)
    else:
        precision = _first_precision(model, config, feed, probe_memory)
        state = TrainState.fresh(model, config.optimizer.build(model), precision)
    epochs = num_epochs(config, len(feed))
    while len(state.history) < epochs and not _is_stale(state, config):
        report = _epoch(state, config, feed, splits.validation, (seed, epochs))
        state.history.append(report)
        if state.best is report:
            state.models["best"].load_state_dict(state.models["average"].state_dict())
        if checkpoint is not None:
            state.save(checkpoint)
        on_epoch(report)
    assert state.best is not None
    return TrainResult(state.models["best"].eval(), state.history, state.precision, state.best.epoch, len(feed))


def num_epochs(config: TrainingConfig, num_images: int) -> int:
    """Passes over `num_images` images, so that `min_steps` is reached."""
    steps_per_epoch = math.ceil(num_images / batch_size_for(config, num_images))
    return max(config.epochs, math.ceil(config.min_steps / steps_per_epoch))


def batch_size_for(config: TrainingConfig, num_images: int) -> int:
    """Images of one step: `batch_size`, or fewer where the data set is small."""
    return min(config.batch_size, max(MIN_BATCH, num_images // config.min_steps_per_epoch))


def predict_logits(model: nn.Module, split: Split, device: torch.device, batch_size: int = 512) -> Tensor:
    """float32 logits [N, K] on the CPU, in evaluation mode."""
    was_training = model.training
    model.eval()
    logits: list[Tensor] = []
    with torch.inference_mode():
        for start in range(0, len(split), batch_size):
            images_BCHW = torch.from_numpy(split.gather(slice(start, start + batch_size))).to(device)
            images_BCHW = to_unit_range(images_BCHW).contiguous(memory_format=torch.channels_last)
            logits.append(model(images_BCHW).float().cpu())
    model.train(was_training)
    return torch.cat(logits)


def _first(split: Split, count: int) -> Split:
    return split.take(np.arange(min(count, len(split))))


def _first_precision(model: nn.Module, config: TrainingConfig, feed: ImageFeed, memory: Path | None) -> str:
    """The recipe's, or what suits this machine best."""
    if config.precision != "auto":
        return config.precision
    images_BCHW, labels_B = feed.rows(torch.arange(batch_size_for(config, len(feed))))
    images_BCHW = to_unit_range(images_BCHW).contiguous(memory_format=torch.channels_last)
    return choose_precision(model, images_BCHW, labels_B, memory)


def _is_stale(state: TrainState, config: TrainingConfig) -> bool:
    best = state.best
    return bool(config.patience and best and len(state.history) - best.epoch >= config.patience)


def _epoch(state: TrainState, config: TrainingConfig, feed: ImageFeed, validation: Split, plan: tuple[int, int]) -> EpochReport:
    """One pass and its validation; `plan` is (seed, epochs). All randomness follows from (seed, epoch)."""
    started, epoch = time.perf_counter(), len(state.history)
    seed, epochs = plan
    epoch_seed = seed * 1_000_003 + epoch
    torch.manual_seed(epoch_seed)  # dropout
    generator = torch.Generator().manual_seed(epoch_seed)
    model, losses = (state.models["model"].train(), torch.zeros((), device=feed.labels_N.device))
    forward = torch.compile(model) if config.compile else model
    batch_size = batch_size_for(config, len(feed))
    steps = math.ceil(len(feed) / batch_size)
    step = epoch * steps
    for images_BCHW, labels_B in feed.batches(batch_size, generator):
        rate = config.optimizer.rate_at(step, epochs * steps)
        augmented_BCHW = augment(to_unit_range(images_BCHW), config.augment, generator)
        losses += _step(forward, state, (augmented_BCHW, labels_B), config, rate)
        _average(state.models["average"], model, _decay_at(step, config.ema_decay))
        step += 1
    train_loss = losses.item() / max(1, step - epoch * steps)
    if not math.isfinite(train_loss):
        raise TrainingError(
            f"the loss of epoch {epoch + 1} is not finite ({train_loss}); lower training.optimizer.learning_rate"
            f" (now {config.optimizer.learning_rate:g}); the checkpoint of {epoch} good epochs is kept"
        )
    logits_NK, labels_N = (
        predict_logits(state.models["average"], validation, feed.labels_N.device),
        torch.tensor(validation.labels_N),
    )
    return EpochReport(
        epoch + 1, epochs, train_loss, functional.cross_entropy(logits_NK, labels_N).item(),
        (logits_NK.argmax(1) == labels_N).float().mean().item(), rate, time.perf_counter() - started,
    )  # fmt: skip


def _step(
    forward: Callable[[Tensor], Tensor], state: TrainState, batch: tuple[Tensor, Tensor], config: TrainingConfig, rate: float
) -> Tensor:
    """One optimizer step; gives the detached loss."""
    images_BCHW, labels_B = batch
    model, optimizer = state.models["model"], state.optimizer
    with autocast(state.precision, images_BCHW.device):
        logits_BK = forward(images_BCHW.contiguous(memory_format=torch.channels_last))
    loss = functional.cross_entropy(logits_BK.float(), labels_B, label_smoothing=config.label_smoothing)
    optimizer.zero_grad(set_to_none=True)
    state.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
    state.scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
    for group in optimizer.param_groups:
        group["lr"] = rate
    state.scaler.step(optimizer)
    state.scaler.update()
    return loss.detach()


def _decay_at(step: int, decay: float) -> float:
    """A short memory at first, or the random weights of the start would weigh for hundreds of steps."""
    return min(decay, (1 + step) / (10 + step))


@torch.no_grad()
def _average(average: nn.Module, model: nn.Module, decay: float) -> None:
    for mean, value in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - decay)
        else:
            mean.copy_(value)
