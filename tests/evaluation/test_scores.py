"""Scores of known answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from modelyard.evaluation.calibration import fit_temperature, softmax
from modelyard.evaluation.metrics import expected_calibration_error, score
from modelyard.evaluation.plots import Answers, draw_report
from modelyard.evaluation.significance import mcnemar_p_value
from tests.bundles import lit_dataset


def test_scores_of_known_answers() -> None:
    probabilities_NK = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    labels_N = np.array([0, 1, 1, 1])
    scores = score(probabilities_NK, labels_N)
    assert scores.accuracy == 0.75
    assert scores.nll == pytest.approx(-np.log([0.9, 0.8, 0.4, 0.7]).mean())
    assert scores.accuracy_low < 0.75 < scores.accuracy_high
    assert expected_calibration_error(probabilities_NK, labels_N) == pytest.approx((0.1 + 0.2 + 0.6 + 0.3) / 4)


def test_temperature_recovers_the_scale_of_the_logits() -> None:
    generator = np.random.default_rng(0)
    logits_NK = generator.normal(size=(20_000, 5)).astype(np.float32)
    labels_N = np.array([generator.choice(5, p=row) for row in softmax(logits_NK)])
    assert fit_temperature(logits_NK * 3, labels_N) == pytest.approx(3, rel=0.1)


def test_mcnemar_counts_only_disagreements() -> None:
    candidate_N, current_N = np.ones(20, bool), np.ones(20, bool)
    assert mcnemar_p_value(candidate_N, current_N) == 1
    current_N[:10] = False
    assert mcnemar_p_value(candidate_N, current_N) == pytest.approx(2 / 2**10)


def test_mcnemar_is_the_two_sided_binomial_test() -> None:
    for gained in range(0, 40, 3):
        for lost in range(0, 40, 3):
            candidate_N = np.repeat([True, False, True], [gained, lost, 5])
            current_N = np.repeat([False, True, True], [gained, lost, 5])
            expected = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
            assert mcnemar_p_value(candidate_N, current_N) == pytest.approx(expected)


def test_l12_a_class_name_is_no_formula(tmp_path: Path) -> None:
    dataset = lit_dataset(images=20, hard=2)
    classes = (r"$\frac$", "$x^2$", "a$b$", r"$\bad{$", "<b>")[: len(dataset.classes)]
    even_NK = np.full((len(dataset.test), len(classes)), 1 / len(classes))
    history = [{"epoch": 1, "train_loss": 1.0, "validation_loss": 1.0, "validation_accuracy": 0.5}]
    draw_report(tmp_path, Answers(replace(dataset, classes=classes), even_NK, even_NK), history)
    assert len(list(tmp_path.glob("*.png"))) == 4
