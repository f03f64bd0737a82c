"""A network is named better than the baseline only where that is no chance."""

from __future__ import annotations

import numpy as np

from modelyard.evaluation.baseline import advice

BASE_N = np.arange(500) >= 50
"""90 % correct."""


def test_nothing_better_than_by_chance_is_advised_against() -> None:
    a_little = BASE_N.copy()
    a_little[:3] = True
    told = advice("linear", BASE_N, {"cnn": a_little, "rnn": BASE_N & False}, "texts")
    assert told.startswith(
        "use linear: on 500 test texts nothing is significantly better than its 90.00 % (cnn: 90.60 %"
    )
    assert "\n" not in told


def test_what_is_surely_better_is_named() -> None:
    better = BASE_N | (np.arange(500) < 30)
    told = advice("linear", BASE_N, {"cnn": better, "rnn": BASE_N}, "texts")
    assert (
        told.startswith("significantly better than linear on 500 test texts: cnn (p ") and "rnn" not in told
    )


def test_many_tries_do_not_make_one_better() -> None:
    """Holm: six more correct answers alone are significant, among ten networks they are not."""
    some = BASE_N | (np.arange(500) < 6)
    assert advice("linear", BASE_N, {"cnn": some}, "texts").startswith("significantly")
    ten = {f"cnn{number}": some for number in range(10)}
    assert advice("linear", BASE_N, ten, "texts").startswith("use linear")
