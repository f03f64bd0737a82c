"""The ways of a fine-tuning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace

import torch
from torch.nn import functional

from modelyard.evaluation.predict import calibrated_loss, predict_logits
from modelyard.machine.how import silent
from modelyard.progress import EpochReport
from modelyard.training.adapt.head import fit_head
from modelyard.training.adapt.lora import fit_low_rank
from modelyard.training.adapt.tuning import Tuning
from modelyard.training.loop import TrainResult
from modelyard.training.state import kept_epoch


def fine_tuned(tuning: Tuning) -> TrainResult:
    """As `finetune.mode` says. Raises: TrainingError, and what the loop raises."""
    finetune = tuning.job.finetune
    return WAYS[finetune.mode](tuning) if finetune else tuning.loop()


def _full(tuning: Tuning) -> TrainResult:
    return tuning.loop()


def _after_head(tuning: Tuning, way: Callable[[Tuning], TrainResult]) -> TrainResult:
    """A head of chance would first undo what the others have learnt (Kumar et al. 2022). The network with its
    fitted head is epoch 0, which is kept where no later one is better.
    """
    fitted = fit_head(replace(tuning, on_epoch=silent))
    first, weights = _validated(tuning, fitted), deepcopy(tuning.network.state_dict())
    result = way(tuning)
    history = [replace(first, epochs=result.history[-1].epochs), *result.history]
    if kept_epoch(history).epoch == 0:
        result.model.load_state_dict(weights)
    return replace(
        result, history=history, best_epoch=kept_epoch(history).epoch, seconds=fitted.seconds + result.seconds
    )


def _validated(tuning: Tuning, fitted: TrainResult) -> EpochReport:
    """Of the network as it is, as the loop would tell it of epoch 0."""
    validation = tuning.splits.validation
    logits_NK = predict_logits(tuning.network, validation, tuning.device)
    labels_N, loss = torch.tensor(validation.labels_N), kept_epoch(fitted.history).train_loss
    return EpochReport(
        0, 0, loss, functional.cross_entropy(logits_NK, labels_N).item(),
        (logits_NK.argmax(1) == labels_N).float().mean().item(), 0.0, fitted.seconds, 0.0,
        calibrated_loss(logits_NK, labels_N),
    )  # fmt: skip


WAYS: Mapping[str, Callable[[Tuning], TrainResult]] = {
    "full": _full, "head": fit_head, "head-then-full": lambda tuning: _after_head(tuning, _full),
    "lora": lambda tuning: _after_head(tuning, fit_low_rank),
}  # fmt: skip
