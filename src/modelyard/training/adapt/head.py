"""The last layer alone, by logistic regression on features that are computed once.

N samples, D features, K classes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from modelyard.data.datasets import Split
from modelyard.evaluation.predict import calibrated_loss
from modelyard.home import features_folder
from modelyard.progress import EpochReport
from modelyard.training.adapt.folds import CrossValidation, logits_of
from modelyard.training.adapt.last_layer import LastLayer
from modelyard.training.adapt.logistic import Fit, Logistic
from modelyard.training.adapt.tuning import Tuning
from modelyard.training.loop import TrainResult
from modelyard.training.objectives.classification import class_weights
from modelyard.training.parts import trained_on
from modelyard.training.state import kept_epoch

PENALTIES = tuple(10 ** (1 - step / 2) for step in range(15))
"""The strongest first; cross-validation chooses."""
IN_VAIN = 3
"""Penalties that were no better in a row, after which weaker ones are not tried."""


def fit_head(tuning: Tuning) -> TrainResult:
    """What else is told of an epoch is told of each penalty; its calibrated loss is that of training samples
    in cross-validation, or of validation where no class has two. Raises: TrainingError.
    """
    began, validation = time.perf_counter(), tuning.splits.validation
    train, layers = _labelled(tuning), tuning.last_layers()
    labels_N, held_out_N = torch.tensor(train.labels_N), torch.tensor(validation.labels_N)
    (features, held_out), counts_K = _features(tuning, train, validation), _counts(tuning, labels_N)
    has_bias = all(last.layer.bias is not None for last in layers)
    problems = [Logistic(features_ND, labels_N, counts_K, has_bias=has_bias) for features_ND in features]
    crossed = CrossValidation(features, labels_N, counts_K, has_bias=has_bias)
    history, best = list[EpochReport](), list[Fit]()
    for number, penalty in enumerate(PENALTIES, 1):
        fits = [problem.fit(penalty) for problem in problems]
        answers = logits_of(fits, held_out), held_out_N
        judged = (crossed.logits(penalty), crossed.labels_M) if len(crossed.labels_M) else answers
        seconds = time.perf_counter() - began - sum(report.seconds for report in history)
        history.append(_report(number, penalty, seconds, fits, *answers, calibrated_loss(*judged)))
        tuning.on_epoch(history[-1])
        if (kept := kept_epoch(history)) is history[-1]:
            best = fits
        if number - kept.epoch >= IN_VAIN:
            break
    _take_over(layers, best)
    seconds = time.perf_counter() - began
    return TrainResult(tuning.network.eval(), history, "fp32", kept_epoch(history).epoch, len(train), seconds)


@torch.no_grad()
def _take_over(layers: Sequence[LastLayer], fits: Sequence[Fit]) -> None:
    for last, fit in zip(layers, fits, strict=True):
        last.layer.weight.copy_(fit.weight_KD)
        if last.layer.bias is not None:
            last.layer.bias.copy_(fit.bias_K)


def _labelled(tuning: Tuning) -> Split:
    train = tuning.splits.train
    train = train.take(np.flatnonzero(train.labels_N >= 0))
    return trained_on(train, tuning.job.training)


def _counts(tuning: Tuning, labels_N: Tensor) -> Tensor:
    """What a sample of each class counts [K]."""
    training = tuning.job.training
    if "balanced" not in (training.class_weights, training.sampling):
        return torch.ones(tuning.num_classes)
    weights_K = class_weights(labels_N)
    return functional.pad(weights_K, (0, tuning.num_classes - len(weights_K)))


def _features(tuning: Tuning, *splits: Split) -> list[list[Tensor]]:
    """Of each split what each of the last layers is given."""
    job = tuning.job
    facts = job.data_folder.rpartition("/")[2], job.code, job.model.model_dump(mode="json")
    return [
        [last.kept_features(split, tuning.device, features_folder(), facts) for last in tuning.last_layers()]
        for split in splits
    ]


def _report(  # noqa: PLR0913, PLR0917 - what is known of one fit
    number: int, penalty: float, seconds: float, fits: Sequence[Fit], logits_NK: Tensor, labels_N: Tensor,
    judged: float,
) -> EpochReport:  # fmt: skip
    left = len(PENALTIES) - number
    return EpochReport(
        number, len(PENALTIES), sum(fit.loss for fit in fits) / len(fits),
        functional.cross_entropy(logits_NK, labels_N).item(),
        (logits_NK.argmax(1) == labels_N).float().mean().item(), 0.0, seconds,
        left * seconds, judged, {"penalty": penalty},
    )  # fmt: skip
