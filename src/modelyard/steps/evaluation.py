"""The evaluation step: temperature from validation, scores and pictures of validation and test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from modelyard.data.splits import make_splits
from modelyard.evaluation.calibration import fit_temperature, softmax
from modelyard.evaluation.metrics import confusion_matrix, lowest_recalls, never_given, per_class_table, score
from modelyard.evaluation.predict import predict_logits
from modelyard.files import folder_written_whole, seal, write_json
from modelyard.home import Home
from modelyard.steps.finished import evaluation_is_done
from modelyard.steps.requests import BuildRequest
from modelyard.steps.training import trained_model

if TYPE_CHECKING:
    from modelyard.evaluation.plots import Answers


def evaluate(request: BuildRequest, home: Home) -> Path:
    """Fit the temperature on validation, score validation and test, draw the report."""
    folder = request.evaluation_folder(home)
    if evaluation_is_done(request, home):
        return folder
    from modelyard.evaluation.plots import Answers, draw_report  # matplotlib: only where something is drawn

    dataset, model, training = trained_model(request, home)
    splits, cpu = make_splits(dataset, request.recipe.data), torch.device("cpu")
    validation_NK, test_NK = (
        predict_logits(model, split, cpu).numpy() for split in (splits.validation, splits.test)
    )
    temperature = fit_temperature(validation_NK, splits.validation.labels_N)
    answers = Answers(dataset, softmax(test_NK), softmax(test_NK, temperature))
    before = score(answers.uncalibrated_NK, splits.test.labels_N)
    held_out = (softmax(validation_NK, temperature), splits.validation.labels_N)
    metrics = score(*held_out).prefixed("validation") | never_given(confusion_matrix(*held_out))
    tested = (answers.probabilities_NK, splits.test.labels_N)
    metrics |= score(*tested).prefixed("test") | lowest_recalls(confusion_matrix(*tested))
    metrics |= {f"test/{name}_before_temperature": getattr(before, name) for name in ("nll", "brier", "ece")}
    with folder_written_whole(folder) as scratch:
        _write_answers(scratch, answers)
        draw_report(scratch, answers, training["history"])
        write_json(scratch / "evaluation.json", {"temperature": temperature, "metrics": metrics})
        seal(scratch)
    return folder


def _write_answers(folder: Path, answers: Answers) -> None:
    """`test.npz` for later comparisons, and the scores of each class as a table."""
    probabilities_NK, labels_N = answers.probabilities_NK, answers.dataset.test.labels_N
    correct_N = probabilities_NK.argmax(1) == labels_N
    np.savez_compressed(
        folder / "test.npz", correct=correct_N, probabilities=probabilities_NK.astype(np.float32)
    )
    table = per_class_table(confusion_matrix(probabilities_NK, labels_N), answers.dataset.classes)
    (folder / "per_class.csv").write_text(table)


def read_evaluation(folder: Path) -> dict[str, Any]:
    """Temperature and metrics of an evaluation step."""
    record: dict[str, Any] = json.loads((folder / "evaluation.json").read_text())
    return record
