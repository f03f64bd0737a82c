"""Multinomial logistic regression on fixed features. N samples, D features, K classes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

ROUNDS, ENOUGH = 100, 1e-6
"""Iterations of L-BFGS at most, and the change of the loss that ends them."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A linear layer, for features as they are."""

    weight_KD: Tensor
    bias_K: Tensor
    loss: float
    """Mean cross-entropy of the training samples, nats."""


class Logistic:
    """Fits for one penalty after the other, each from the last one, on features of mean 0 and mean square 1.

    All have one scale: a feature that hardly varies is not blown up to weigh as much as the others.
    """

    def __init__(self, features_ND: Tensor, labels_N: Tensor, counts_K: Tensor, *, has_bias: bool) -> None:
        mean_D = features_ND.mean(0)
        self._scale = (features_ND - mean_D).square().mean().sqrt().item() or 1.0
        self._mean_D = mean_D if has_bias else torch.zeros_like(mean_D)
        self._even_ND, self._labels_N = (features_ND - self._mean_D) / self._scale, labels_N
        self._counts_N = counts_K[labels_N] / counts_K[labels_N].sum()
        self._weight_KD = torch.zeros(len(counts_K), features_ND.shape[1], requires_grad=True)
        self._bias_K = torch.zeros(len(counts_K), requires_grad=has_bias)

    def fit(self, penalty: float) -> Fit:
        """Least mean cross-entropy plus half the penalty for each squared weight, by L-BFGS (Liu and
        Nocedal 1989).
        """
        solver = torch.optim.LBFGS(
            [part for part in (self._weight_KD, self._bias_K) if part.requires_grad],
            max_iter=ROUNDS, tolerance_change=ENOUGH, line_search_fn="strong_wolfe",
        )  # fmt: skip

        def total() -> Tensor:
            solver.zero_grad()
            loss = self._entropy() + penalty / 2 * self._weight_KD.square().sum()
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        solver.step(total)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            weight_KD = self._weight_KD / self._scale
            return Fit(weight_KD, self._bias_K - weight_KD @ self._mean_D, self._entropy().item())

    def _entropy(self) -> Tensor:
        logits_NK = functional.linear(self._even_ND, self._weight_KD, self._bias_K)
        losses_N = functional.cross_entropy(logits_NK, self._labels_N, reduction="none")
        return (losses_N * self._counts_N).sum()
