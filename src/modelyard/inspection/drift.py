"""How two data sets differ, told from their profiles: classes, label shares and what samples are like, each
with its test.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from modelyard.evaluation.corrections import holm
from modelyard.inspection.measures import MEASURES
from modelyard.inspection.profile import Histogram, Profile, SplitProfile

LEAST_EXPECTED = 5
"""Below it in any cell the chi-square distribution is no good approximation (Cochran 1954)."""
LABELS = "label shares"
T = TypeVar("T", str, int)
RANDOM_TABLES = 9_999
"""Drawn instead; the smallest p-value is then 0.0001."""


@dataclass(frozen=True, slots=True)
class Limits:
    """With 60,000 samples the smallest difference is significant: drift is what is significant and large
    enough.
    """

    significance: float = 0.01
    """Level of all tests of a comparison together."""
    labels: float = 0.05
    """Cramer's V."""
    samples: float = 0.05
    """Kolmogorov-Smirnov distance, or Cramer's V, of what samples are like."""


@dataclass(frozen=True, slots=True)
class DriftTest:
    """One property of one split, before and now."""

    what: str
    test: str
    before: int
    """Samples."""
    now: int
    p_value: float
    effect: float
    """Cramer's V of the shares, or the largest distance of the two distribution functions; 0 alike, 1 nothing
    in common.
    """
    corrected: float = 1.0
    """The p-value after Holm's correction for all tests of the comparison."""
    drifted: bool = False


@dataclass(frozen=True, slots=True)
class Classes:
    """Which classes came, went or changed their names."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    renamed: tuple[tuple[str, str], ...]
    """Gone and new at the same place of a list that is as long as before: taken for another name
    of the same.
    """
    reordered: bool
    """The same names in another order, so that labels stand for other classes."""


def compare_classes(before: Sequence[str], now: Sequence[str]) -> Classes:
    """What became of the class names."""
    pairs = zip(before, now, strict=True) if len(before) == len(now) else ()
    renamed = tuple((old, new) for old, new in pairs if old not in now and new not in before)
    gone, come = {old for old, _ in renamed}, {new for _, new in renamed}
    added = tuple(name for name in now if name not in before and name not in come)
    removed = tuple(name for name in before if name not in now and name not in gone)
    stayed = [name for name in before if name in now]
    return Classes(added, removed, renamed, stayed != [name for name in now if name in before])


def compare_profiles(before: Profile, now: Profile, limits: Limits | None = None) -> list[DriftTest]:
    """Tests of the label shares and of each feature, of train and of test."""
    measures = MEASURES[now.kind]
    tests = []
    for part in ("train", "test"):
        first, second = getattr(before, part), getattr(now, part)
        if not first.total or not second.total:
            continue
        tests.append(_compare_shares(f"{LABELS}, {part}", _by_name(before, first), _by_name(now, second)))
        for name in measures.bins:
            if name in first.histograms:  # not where samples were of another kind
                histograms = first.histograms[name], second.histograms[name]
                tests.append(_compare_histograms(f"{name}, {part}", *histograms))
        for name in measures.draws:
            if name in first.draws:
                tests.append(_compare_shares(f"{name}, {part}", first.draws[name], second.draws[name]))
    return _judge(tests, limits or Limits())


def _judge(tests: Sequence[DriftTest], limits: Limits) -> list[DriftTest]:
    judged = []
    for test, corrected in zip(tests, holm([test.p_value for test in tests]), strict=True):
        least = limits.labels if is_of_labels(test) else limits.samples
        drifted = corrected < limits.significance and test.effect > least
        judged.append(replace(test, corrected=corrected, drifted=drifted))
    return judged


def is_of_labels(test: DriftTest) -> bool:
    """Or of what samples are like."""
    return test.what.startswith(LABELS)


def _by_name(profile: Profile, split: SplitProfile) -> dict[str, int]:
    return dict(zip(profile.classes, split.counts, strict=True))


def _compare_shares(what: str, before: Mapping[T, int], now: Mapping[T, int]) -> DriftTest:
    """Chi-square test of homogeneity; by random tables of the same margins where a category is too rare for
    it.
    """
    from scipy.stats import MonteCarloMethod, chi2_contingency
    from scipy.stats.contingency import expected_freq

    names = [name for name in {**before, **now} if before.get(name, 0) + now.get(name, 0)]
    table_2K = np.array([[counts.get(name, 0) for name in names] for counts in (before, now)])
    test, p_value = "chi-square", 1.0
    if len(names) > 1 and expected_freq(table_2K).min() >= LEAST_EXPECTED:
        p_value = chi2_contingency(table_2K, correction=False).pvalue
    elif len(names) > 1:
        test = f"chi-square, {RANDOM_TABLES:,} random tables"
        method = MonteCarloMethod(n_resamples=RANDOM_TABLES, rng=np.random.default_rng(0))
        p_value = chi2_contingency(table_2K, correction=False, method=method).pvalue
    return DriftTest(
        what, test, int(table_2K[0].sum()), int(table_2K[1].sum()), float(p_value), cramers_v(table_2K)
    )


def cramers_v(table_2K: NDArray[np.int64]) -> float:
    """Cramer's V of two rows of counts, each row weighted alike: a small data set against a large one does
    not hide.
    """
    first_K, second_K = table_2K / table_2K.sum(1, keepdims=True)
    return float(np.sqrt(((first_K - second_K) ** 2 / (first_K + second_K)).sum() / 2))


def _compare_histograms(what: str, before: Histogram, now: Histogram) -> DriftTest:
    """Two-sample Kolmogorov-Smirnov test over all samples.

    The distribution functions are compared at the edges of the bins: the distance is never overstated, so the
    p-value (of the asymptotic distribution) errs towards no difference.
    """
    from scipy.stats import kstwo

    bins = sorted(before.keys() | now.keys())
    first_B, second_B = (
        np.cumsum([histogram.get(index, 0) for index in bins]) for histogram in (before, now)
    )
    num_before, num_now = int(first_B[-1]), int(second_B[-1])
    distance = float(np.abs(first_B / num_before - second_B / num_now).max())
    size = max(1, round(num_before * num_now / (num_before + num_now)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of underflow, where p is 0
        p_value = float(np.clip(kstwo.sf(distance, size), 0, 1))
    return DriftTest(what, "Kolmogorov-Smirnov", num_before, num_now, p_value, distance)
