"""Temperature scaling (Guo et al. 2017), fitted on validation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from modelyard.evaluation.metrics import Labels, Probabilities, negative_log_likelihood

Logits = NDArray[np.float32]
PRIOR_WIDTH = 0.25
"""Standard deviation of the logarithm of the temperature, before any image was seen."""


def softmax(logits_NK: Logits, temperature: float = 1.0) -> Probabilities:
    """Probabilities [N, K] of logits over `temperature`."""
    scaled_NK = logits_NK.astype(np.float64) / temperature
    exponentials_NK = np.exp(scaled_NK - scaled_NK.max(1, keepdims=True))
    return np.asarray(exponentials_NK / exponentials_NK.sum(1, keepdims=True))


def fit_temperature(logits_NK: Logits, labels_N: Labels) -> float:
    """The most probable temperature in 0.05..20 under a log-normal prior around 1.

    Without the prior a small validation split that is all correct asks for a temperature of nearly zero; on
    thousands of images the prior has no weight.
    """

    from scipy.optimize import minimize_scalar  # half a second, only where something is fitted

    def loss(log_temperature: float) -> float:
        nll = negative_log_likelihood(softmax(logits_NK, float(np.exp(log_temperature))), labels_N)
        return nll + (log_temperature / PRIOR_WIDTH) ** 2 / (2 * len(labels_N))

    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded")
    return float(np.exp(found.x)) if found.fun < loss(0.0) else 1.0
