"""The ways of a fine-tuning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from modelyard.machine.how import silent
from modelyard.training.adapt.head import fit_head
from modelyard.training.adapt.lora import fit_low_rank
from modelyard.training.adapt.tuning import Tuning
from modelyard.training.loop import TrainResult


def fine_tuned(tuning: Tuning) -> TrainResult:
    """As `finetune.mode` says. Raises: TrainingError, and what the loop raises."""
    finetune = tuning.job.finetune
    return WAYS[finetune.mode](tuning) if finetune else tuning.loop()


def _full(tuning: Tuning) -> TrainResult:
    return tuning.loop()


def _head_then_full(tuning: Tuning) -> TrainResult:
    """A head of chance would first undo what the others have learnt (Kumar et al. 2022)."""
    fit_head(replace(tuning, on_epoch=silent))
    return tuning.loop()


def _head_then_low_rank(tuning: Tuning) -> TrainResult:
    fit_head(replace(tuning, on_epoch=silent))
    return fit_low_rank(tuning)


WAYS: Mapping[str, Callable[[Tuning], TrainResult]] = {
    "full": _full, "head": fit_head, "head-then-full": _head_then_full, "lora": _head_then_low_rank,
}  # fmt: skip
