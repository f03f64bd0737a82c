"""Temperature scaling (Guo et al. 2017), fitted on validation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from modelyard.evaluation.metrics import Labels, Probabilities, negative_log_likelihood

Logits = NDArray[np.float32]


def softmax(logits_NK: Logits, temperature: float = 1.0) -> Probabilities:
    """Probabilities [N, K] of logits over `temperature`."""
    scaled_NK = logits_NK.astype(np.float64) / temperature
    exponentials_NK = np.exp(scaled_NK - scaled_NK.max(1, keepdims=True))
    return np.asarray(exponentials_NK / exponentials_NK.sum(1, keepdims=True))


def fit_temperature(logits_NK: Logits, labels_N: Labels) -> float:
    """The temperature in 0.05..20 with the lowest NLL; 1.0 when none is better."""

    from scipy.optimize import minimize_scalar  # half a second, only where something is fitted

    def loss(log_temperature: float) -> float:
        return negative_log_likelihood(softmax(logits_NK, float(np.exp(log_temperature))), labels_N)

    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded")
    return float(np.exp(found.x)) if found.fun < loss(0.0) else 1.0
