"""Is one classifier worse than another on the same images?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def mcnemar_p_value(candidate_N: NDArray[np.bool_], current_N: NDArray[np.bool_]) -> float:
    """McNemar's exact two-sided test (McNemar 1947) on which answers were correct, image by image."""
    from scipy.special import bdtr  # a promotion waits for this: scipy.stats would take a second of imports

    gained = int((candidate_N & ~current_N).sum())
    lost = int((~candidate_N & current_N).sum())
    return min(1.0, 2 * float(bdtr(min(gained, lost), gained + lost, 0.5)))
