"""Is anything better than the baseline? N test samples."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from modelyard.evaluation.corrections import holm
from modelyard.evaluation.significance import mcnemar_p_value

SIGNIFICANCE = 0.05
Correct = NDArray[np.bool_]


def advice(baseline: str, baseline_N: Correct, others: Mapping[str, Correct], samples: str) -> str:
    """Which of the others are significantly better on the test samples, or to use the baseline: one line.

    samples: what they are called.
    """
    gains = {label: int(correct_N.sum()) - int(baseline_N.sum()) for label, correct_N in others.items()}
    p_values = holm([mcnemar_p_value(correct_N, baseline_N) for correct_N in others.values()])
    sure = dict(zip(others, p_values, strict=True))
    better = [label for label, p_value in sure.items() if gains[label] > 0 and p_value < SIGNIFICANCE]
    if better:
        told = ", ".join(f"{label} (p {sure[label]:.2g})" for label in better)
        return f"significantly better than {baseline} on {len(baseline_N)} test {samples}: {told}"
    best = max(gains, key=lambda label: gains[label])
    share, other = (100 * correct_N.mean() for correct_N in (baseline_N, others[best]))
    chance = f", p {sure[best]:.2g}" if gains[best] > 0 else ""
    return (
        f"use {baseline}: on {len(baseline_N)} test {samples} nothing is significantly better than its "
        f"{share:.2f} % ({best}: {other:.2f} %{chance})"
    )


def taught(label: str, taught_N: Correct, alone_N: Correct, teacher: float, agreement: float) -> str:
    """What a teacher was worth to a student, beside the same one trained alone: one line.

    teacher: share of its right answers; agreement: share of the answers that are equal.
    """
    with_it, alone = (f"{100 * correct_N.mean():.2f} %" for correct_N in (taught_N, alone_N))
    return (
        f"{label}: taught {with_it}, alone {alone} (p {mcnemar_p_value(taught_N, alone_N):.2g}); its teacher "
        f"has {100 * teacher:.2f} %, and both agree on {100 * agreement:.2f} %"
    )
