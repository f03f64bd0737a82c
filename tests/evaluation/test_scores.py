"""Scores of known answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from modelyard.evaluation.calibration import fit_temperature, softmax
from modelyard.evaluation.metrics import (
    NEVER_GIVEN,
    RECALL,
    confusion_matrix,
    expected_calibration_error,
    lowest_recalls,
    never_given,
    of_classes,
    per_class,
    score,
)  # fmt: skip
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
    assert expected_calibration_error(probabilities_NK, labels_N) == pytest.approx(
        (0.1 + 0.2 + 0.6 + 0.3) / 4
    )


def one_hot(answers: list[int], classes: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.asarray(np.eye(classes)[answers])


UNEVEN = {
    # answers, labels, classes -> balanced accuracy, lowest recall, majority's share
    "always the majority": ([0] * 10, [0] * 9 + [1], 2, 0.5, 0.0, 0.9),
    "right": ([0] * 9 + [1], [0] * 9 + [1], 2, 1.0, 1.0, 0.9),
    "a class that does not occur": ([0, 0, 2, 1], [0, 0, 1, 1], 3, 0.75, 0.5, 0.5),
    "one image": ([1], [1], 2, 1.0, 1.0, 1.0),
    "one wrong image": ([1], [0], 2, 0.0, 0.0, 1.0),
}


@pytest.mark.parametrize(
    ("answers", "labels", "classes", "balanced", "lowest", "majority"), UNEVEN.values(), ids=UNEVEN
)
def test_uneven_classes_are_not_hidden_by_accuracy(
    answers: list[int], labels: list[int], classes: int, balanced: float, lowest: float, majority: float
) -> None:
    scores = score(one_hot(answers, classes), np.array(labels))
    assert scores.balanced_accuracy == pytest.approx(balanced)
    assert (scores.min_recall, scores.majority_share) == (lowest, majority)
    assert {"test/balanced_accuracy", "test/min_recall", "test/majority_share", "test/macro_f1"} <= set(
        scores.prefixed("test")
    )


@pytest.mark.parametrize("classes", [2, 5, 11])
def test_scores_are_scikit_learns(classes: int) -> None:
    """To the last bit, so that either may compute them; F1 has another formula there and rounds otherwise."""
    from sklearn import metrics

    generator = np.random.default_rng(classes)
    logits_NK = 3 * generator.normal(size=(700, classes)).astype(np.float32)
    labels_N = np.concatenate([np.arange(classes), generator.integers(0, classes, 700 - classes)])
    probabilities_NK = softmax(logits_NK, 1.3)
    answers_N, every = probabilities_NK.argmax(1), range(classes)
    matrix_KK = confusion_matrix(probabilities_NK, labels_N)
    precision_K, recall_K, f1_K = per_class(matrix_KK)
    theirs = metrics.precision_recall_fscore_support(labels_N, answers_N, labels=every, zero_division=0)
    assert np.array_equal(matrix_KK, metrics.confusion_matrix(labels_N, answers_N, labels=every))
    assert np.array_equal(precision_K, theirs[0]) and np.array_equal(recall_K, theirs[1])
    assert f1_K == pytest.approx(theirs[2], rel=1e-14)
    scores = score(probabilities_NK, labels_N)
    assert scores.balanced_accuracy == metrics.balanced_accuracy_score(labels_N, answers_N)
    assert scores.brier == metrics.brier_score_loss(
        labels_N, probabilities_NK, labels=every, scale_by_half=False
    )
    assert scores.nll == metrics.log_loss(labels_N, probabilities_NK, labels=every)


def test_always_the_majority_scores_exactly_the_majoritys_share() -> None:
    """Compared without a tolerance by the gate."""
    for images in range(2, 60):
        for largest in range(images // 2, images + 1):
            labels_N = np.array([0] * largest + [1] * (images - largest))
            scores = score(one_hot([0] * images, 2), labels_N)
            assert (scores.accuracy == scores.majority_share) == (largest >= images - largest)


def test_the_recalls_kept_are_few_and_the_lowest() -> None:
    matrix_KK = np.diag([4, 3, 0, 2])
    matrix_KK[1, 0] = 3
    assert lowest_recalls(matrix_KK) == {f"{RECALL}/1": 0.5, f"{RECALL}/0": 1.0, f"{RECALL}/3": 1.0}, (
        "2 does not occur"
    )
    many_KK = np.diag(np.full(1000, 2))
    many_KK[700, 0], many_KK[50, 0] = 6, 2
    assert list(lowest_recalls(many_KK).items())[:2] == [(f"{RECALL}/700", 0.25), (f"{RECALL}/50", 0.5)]
    assert len(lowest_recalls(many_KK)) == 3


def test_a_class_of_5_images_that_is_never_given_is_kept() -> None:
    sizes, matrix_KK = [20, 5, 4, 9], np.zeros((4, 4), int)
    matrix_KK[:, 0] = sizes
    assert never_given(matrix_KK) == {f"{NEVER_GIVEN}/count": 2, f"{NEVER_GIVEN}/3": 9, f"{NEVER_GIVEN}/1": 5}
    matrix_KK[0, 3] = 1  # given, though wrongly
    assert never_given(matrix_KK) == {f"{NEVER_GIVEN}/count": 1, f"{NEVER_GIVEN}/1": 5}
    thousand_KK = np.zeros((1000, 1000), int)
    thousand_KK[:, 0] = 7
    found = never_given(thousand_KK)
    assert (found[f"{NEVER_GIVEN}/count"], len(found)) == (999, 4)


def test_metrics_of_classes_are_told_by_name_and_others_are_not_asked() -> None:
    metrics = {
        "test/recall/1": 0.5,
        "test/recall/0": 1.0,
        "test/recall/7": 0.1,
        "test/recall/x": 0.0,
        "test/recall": 3.0,
    }
    assert list(of_classes(metrics, RECALL, ("a", "b/c"))) == ["b/c", "a"]
    assert of_classes({}, RECALL, ("a", "b")) == {}


@pytest.mark.parametrize("images", [1, 2, 3, 17])
def test_few_images_have_scores_and_a_temperature(images: int) -> None:
    labels_N = np.arange(images) % 2
    logits_NK = (np.eye(2)[labels_N] * 80).astype(np.float32)
    for labels in (labels_N, 1 - labels_N):
        assert 0.05 <= fit_temperature(logits_NK, labels) <= 20
        found = score(softmax(logits_NK, fit_temperature(logits_NK, labels)), labels)
        assert all(np.isfinite(value) for value in found.prefixed("test").values())
    assert confusion_matrix(softmax(logits_NK), labels_N).sum() == images


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
