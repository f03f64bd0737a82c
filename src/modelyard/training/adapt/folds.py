"""Answers for labelled samples of fits that have not seen them. N samples, D features, K classes, M held
out.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from modelyard.training.adapt.logistic import Fit, Logistic

FOLDS = 5


class CrossValidation:
    """A fit for each fold, on the others, by the features of each of the networks that answer together."""

    def __init__(
        self, features: Sequence[Tensor], labels_N: Tensor, counts_K: Tensor, *, has_bias: bool
    ) -> None:
        folds_N = folds_of(labels_N)
        self._features = features
        self._rows = [(folds_N == fold).nonzero()[:, 0] for fold in range(FOLDS) if (folds_N == fold).any()]
        self.labels_M = labels_N[torch.cat(self._rows)] if self._rows else labels_N[:0]
        """Of the samples that are held out, fold by fold; empty where no class has two."""
        self._problems = list[list[Logistic]]()
        for rows_F in self._rows:
            is_seen_N = torch.ones(len(labels_N), dtype=torch.bool)
            is_seen_N[rows_F] = False
            self._problems.append([
                Logistic(features_ND[is_seen_N], labels_N[is_seen_N], counts_K, has_bias=has_bias)
                for features_ND in features
            ])  # fmt: skip

    def logits(self, penalty: float) -> Tensor:
        """Of each sample with a fit on the folds that it is not in [M, K]."""
        logits = list[Tensor]()
        for rows_F, problems in zip(self._rows, self._problems, strict=True):
            fits = [problem.fit(penalty) for problem in problems]
            logits.append(logits_of(fits, [features_ND[rows_F] for features_ND in self._features]))
        return torch.cat(logits)


def folds_of(labels_N: Tensor) -> Tensor:
    """The fold of each sample [N]: those of a class in turn. The only one of its class has none, -1: without
    it nothing would be known of the class.
    """
    order_N, counts_K = labels_N.argsort(stable=True), labels_N.bincount()
    ranks_N = torch.empty_like(labels_N)
    ranks_N[order_N] = torch.arange(len(labels_N)) - (counts_K.cumsum(0) - counts_K)[labels_N[order_N]]
    return torch.where(counts_K[labels_N] > 1, ranks_N % FOLDS, -1)


def logits_of(fits: Sequence[Fit], features: Sequence[Tensor]) -> Tensor:
    """What the fitted layers answer together [N, K]."""
    return torch.stack([
        functional.linear(features_ND, fit.weight_KD, fit.bias_K)
        for features_ND, fit in zip(features, fits, strict=True)
    ]).mean(0)  # fmt: skip
