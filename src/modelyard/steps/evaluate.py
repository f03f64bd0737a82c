"""Body of the evaluation step: temperature from validation, scores and pictures of validation and test."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modelyard.data.datasets import Labels
from modelyard.data.packed import open_packed
from modelyard.data.splits import make_splits
from modelyard.evaluation.calibration import fit_temperature, softmax
from modelyard.evaluation.files import EVALUATION_FILE, TEST_FILE
from modelyard.evaluation.metrics import confusion_matrix, lowest_recalls, never_given, per_class_table, score
from modelyard.files import write_json
from modelyard.machine.cores import usable_cores
from modelyard.machine.how import How
from modelyard.training.answers import ANSWERS_FILE
from modelyard.training.fits import open_fitted
from modelyard.training.fitted import read_training
from modelyard.training.slices import EvaluateSlice

if TYPE_CHECKING:
    from modelyard.evaluation.plots import Answers


def run(slice: EvaluateSlice, given: Mapping[str, Path], out: Path, how: How) -> dict[str, Any]:
    """Fit the temperature on validation, score validation and test, draw the report into `out`."""
    from modelyard.evaluation.plots import Answers, draw_report  # matplotlib: only where something is drawn

    dataset, fitted = open_packed(given["data"], verify=False), open_fitted(given["train"], how.own_file)
    splits = make_splits(dataset, slice.data)
    validation_NK, test_NK = (fitted.logits(split) for split in (splits.validation, splits.test))
    temperature = fit_temperature(validation_NK, splits.validation.labels_N)
    answers = Answers(dataset, softmax(test_NK), softmax(test_NK, temperature))
    before = score(answers.uncalibrated_NK, splits.test.labels_N)
    held_out = (softmax(validation_NK, temperature), splits.validation.labels_N)
    metrics = score(*held_out).prefixed("validation") | never_given(confusion_matrix(*held_out))
    tested = (answers.probabilities_NK, splits.test.labels_N)
    metrics |= score(*tested).prefixed("test") | lowest_recalls(confusion_matrix(*tested))
    metrics |= _agreement(given.get("teach"), test_NK, splits.test.labels_N)
    metrics |= {f"test/{name}_before_temperature": getattr(before, name) for name in ("nll", "brier", "ece")}
    _write_answers(out, answers)
    draw_report(out, answers, read_training(given["train"])["history"])
    write_json(out / EVALUATION_FILE, {"temperature": temperature, "metrics": metrics})
    return {"device": "cpu", "processes": 1, "cores": usable_cores()}


def _agreement(teach: Path | None, test_NK: NDArray[np.float32], labels_N: Labels) -> dict[str, float]:
    """How often the student answers as its teacher, and how often that one is right."""
    if teach is None:
        return {}
    with np.load(teach / ANSWERS_FILE, allow_pickle=False) as kept:
        taught_N = kept["test"].argmax(1)
    return {
        "test/teacher_agreement": float((test_NK.argmax(1) == taught_N).mean()),
        "test/teacher_accuracy": float((taught_N == labels_N).mean()),
    }


def _write_answers(folder: Path, answers: Answers) -> None:
    """`test.npz` for later comparisons, and the scores of each class as a table."""
    probabilities_NK, labels_N = answers.probabilities_NK, answers.dataset.test.labels_N
    correct_N = probabilities_NK.argmax(1) == labels_N
    np.savez_compressed(
        folder / TEST_FILE, correct=correct_N, probabilities=probabilities_NK.astype(np.float32)
    )
    names = answers.dataset.form.names
    table = per_class_table(confusion_matrix(probabilities_NK, labels_N), answers.dataset.classes, names.many)
    (folder / "per_class.csv").write_text(table)
