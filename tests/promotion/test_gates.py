"""Each gate lets one case pass and refuses another, and says why with its numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from modelyard.data.datasets import Split
from modelyard.promotion.gates import Facts, failed, judge_gates, refusals
from modelyard.promotion.limits import GatesConfig
from modelyard.promotion.pairs import Pair

METRICS = {"test/ece": 0.01, "onnx/latency_ms_p50": 0.2, "onnx/latency_ms_p99": 0.4, "onnx/bytes": 500_000.0}
SOUND = Facts(1e-7, accuracy=0.9, num_classes=5, metrics=METRICS)
LABELS_N = np.arange(500, dtype=np.int64) % 5
NAN = float("nan")


def answers(*wrong: int, confidence: float = 0.9) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Right answers with this confidence, but for the images at `wrong`, which get the next class."""
    given_N = LABELS_N.copy()
    given_N[list(wrong)] = (given_N[list(wrong)] + 1) % 5
    probabilities_NK = np.full((500, 5), (1 - confidence) / 4)
    probabilities_NK[np.arange(500), given_N] = confidence
    return probabilities_NK


def pair(candidate: tuple[int, ...], champion: tuple[int, ...] = (), confidence: float = 0.9) -> Pair:
    return Pair(
        answers(*candidate, confidence=confidence),
        answers(*champion),
        LABELS_N,
        ("a", "b", "c", "d", "e"),
        np.arange(len(LABELS_N)),
        Split(np.zeros((len(LABELS_N), 1, 1, 1), np.uint8), LABELS_N),
    )


def verdict(name: str, gates: GatesConfig, facts: Facts = SOUND, compared: Pair | str = "nobody") -> Any:
    return next(found for found in judge_gates(gates, facts, compared) if found.name == name)


@pytest.mark.parametrize(
    ("name", "limits", "good", "bad", "reason"),
    [
        ("parity", {}, {"difference": 1e-5}, {"difference": 2e-4}, "2.0e-04, at most 0.0001 allowed"),
        ("parity", {}, {}, {"difference": NAN}, "not measured, at most 0.0001 allowed"),
        ("accuracy", {}, {"accuracy": 0.21}, {"accuracy": 0.2}, "0.2000 on test, guessing gives 0.2000"),
        (
            "accuracy",
            {"min_accuracy": 0.95},
            {"accuracy": 0.95},
            {},
            "0.9000 on test, at least 0.95 demanded",
        ),
        ("accuracy", {"min_accuracy": 0.5}, {}, {"accuracy": NAN}, "nan on test, at least 0.5 demanded"),
        (
            "accuracy",
            {},
            {"majority_share": 0.8999},
            {"majority_share": 0.9},
            "0.9000 on test, guessing gives 0.9000",
        ),
        (
            "accuracy",
            {},
            {"majority_share": NAN},
            {"majority_share": 0.95},
            "0.9000 on test, guessing gives 0.9500",
        ),
        (
            "recall",
            {"min_recall": 0.5},
            {"recalls": {"b": 0.5, "a": 1}},
            {"recalls": {"b {": 0.49, "a": 1}},
            "lowest recall 0.4900 on test (b {), at least 0.5 demanded",
        ),
        ("recall", {"min_recall": 0.0}, {"recalls": {"b": 0.0}}, {}, "not measured, at least 0 demanded"),
        (
            "every class",
            {},
            {"never_given": 0.0},
            {"never_given": 1.0, "never_given_names": ("rare",)},
            "never gives rare on validation; --set training.class_weights=balanced or "
            "training.sampling=balanced may teach it,"
            " gates.every_class=false accepts it",
        ),
        (
            "every class",
            {},
            {},
            {"never_given": 200.0, "never_given_names": ("a", "b", "c")},
            "gives a, b, c and 197 more on",
        ),
        (
            "calibration",
            {"max_ece": 0.02},
            {},
            {"metrics": {"test/ece": 0.03}},
            "ECE 0.0300, at most 0.02 allowed",
        ),
        (
            "latency p50",
            {"max_latency_ms_p50": 0.3},
            {},
            {"metrics": {"onnx/latency_ms_p50": 0.31}},
            "0.310 ms, at most 0.3 allowed",
        ),
        (
            "latency p99",
            {"max_latency_ms_p99": 0.5},
            {},
            {"metrics": {}},
            "not measured, at most 0.5 allowed",
        ),
        (
            "size",
            {"max_megabytes": 0.5},
            {},
            {"metrics": {"onnx/bytes": 501_000.0}},
            "0.501 MB, at most 0.5 allowed",
        ),
    ],
)
def test_a_measured_gate_passes_within_its_limit_alone(
    name: str, limits: dict[str, float], good: dict[str, Any], bad: dict[str, Any], reason: str
) -> None:
    gates = GatesConfig(**limits)
    assert verdict(name, gates, replace(SOUND, **good)).passed
    refused = verdict(name, gates, replace(SOUND, **bad))
    assert not refused.passed
    assert reason in refused.reason


def test_without_a_budget_nothing_is_refused_and_the_value_is_kept() -> None:
    found = verdict("latency p99", GatesConfig(), replace(SOUND, metrics={"onnx/latency_ms_p99": 1e6}))
    assert (found.passed, found.value, found.limit) == (True, 1e6, None)
    assert verdict("size", GatesConfig(), replace(SOUND, metrics={})).value is None, "JSON has no NaN"


@pytest.mark.parametrize("name", ["recall", "every class"])
def test_what_older_bundles_did_not_measure_is_not_asked_of_them(name: str) -> None:
    found = verdict(name, GatesConfig())
    assert found.passed and found.value is None and found.reason.startswith("not measured")


def test_a_class_that_is_never_given_can_be_accepted() -> None:
    facts = replace(SOUND, never_given=1.0, never_given_names=("rare",))
    assert verdict("every class", GatesConfig(every_class=False), facts).passed


def test_without_a_least_recall_the_lowest_is_told() -> None:
    found = verdict("recall", GatesConfig(), replace(SOUND, recalls={"b": 0.25, "a": 1.0}))
    assert (found.passed, found.value, found.reason) == (
        True,
        0.25,
        "lowest recall 0.2500 on test (b), no limit set",
    )


def test_overall_needs_both_worse_and_significant() -> None:
    assert not verdict("overall", GatesConfig(), compared=pair(tuple(range(10)))).passed
    assert verdict("overall", GatesConfig(), compared=pair(tuple(range(5)))).passed, "5 lost of 5: p = 0.0625"
    assert verdict("overall", GatesConfig(), compared=pair((), tuple(range(50)))).passed, (
        "better is not worse"
    )
    assert verdict("overall", GatesConfig(significance=0.001), compared=pair(tuple(range(10)))).passed


def test_one_class_can_refuse_where_all_together_do_not() -> None:
    lost, gained = tuple(range(0, 50, 5)), tuple(range(101, 151, 5))
    compared = pair(lost, gained)
    assert verdict("overall", GatesConfig(), compared=compared).passed
    refused = verdict("per class", GatesConfig(), compared=compared)
    assert refused.reason == "significantly worse on class a (0 gained, 10 lost, p = 0.00977)"
    assert {found["name"] for found in refused.evidence["classes"]} == {"a", "b"}
    assert verdict("per class", GatesConfig(per_class=False), compared=compared).passed


def test_a_class_that_is_worse_by_one_of_many_chances_is_not_refused() -> None:
    compared = pair(tuple(range(0, 35, 5)))
    assert compared.by_class()[0].p_value == pytest.approx(5 * 2 / 2**7)
    assert verdict("per class", GatesConfig(), compared=compared).passed, (
        "p = 0.016 alone, 0.078 as one of five"
    )


def test_calibration_is_compared_on_the_same_images() -> None:
    wrong = tuple(range(0, 500, 10))
    assert verdict("calibration change", GatesConfig(), compared=pair(wrong, wrong, confidence=0.91)).passed
    refused = verdict("calibration change", GatesConfig(), compared=pair(wrong, wrong, confidence=0.99))
    assert not refused.passed
    assert refused.evidence["ece"] == pytest.approx(0.09, abs=0.01), "99 % confident and 90 % right"
    assert "at most 0.02 allowed" in refused.reason


def test_with_nobody_to_compare_with_it_is_said() -> None:
    verdicts = judge_gates(GatesConfig(), SOUND, "there is no champion to compare with")
    assert failed(verdicts) == []
    assert verdicts[2].reason == "there is no champion to compare with"


def test_refusals_are_one_line_with_every_failed_gate() -> None:
    gates = GatesConfig(max_megabytes=0.1, min_accuracy=0.99)
    line = refusals(judge_gates(gates, SOUND, "nobody"))
    assert line == "accuracy: 0.9000 on test, at least 0.99 demanded; size: 0.500 MB, at most 0.1 allowed"
