"""Is one classifier worse than another on the same images?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def mcnemar_p_value(candidate_N: NDArray[np.bool_], current_N: NDArray[np.bool_]) -> float:
    """McNemar's exact two-sided test (McNemar 1947) on which answers were correct, image by image."""
    from scipy.stats import binomtest

    gained = int((candidate_N & ~current_N).sum())
    lost = int((~candidate_N & current_N).sum())
    return float(binomtest(gained, gained + lost, 0.5).pvalue) if gained + lost else 1.0
