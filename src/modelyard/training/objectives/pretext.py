"""What the ways of pre-training share: their configuration, a network with one more head, and a linear probe
of what was learnt.

B rows, N samples, D features, K classes, R features or rows.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from modelyard.config import Config
from modelyard.data.batches import Batch, Feed
from modelyard.data.datasets import Rows
from modelyard.errors import ConfigError
from modelyard.evaluation.predict import logits_of
from modelyard.models.blank import blank_inputs
from modelyard.models.ensemble import Ensemble
from modelyard.models.network import Network, members
from modelyard.samples import Form
from modelyard.training.protocols import Augment, Coupling, Moment, OneCall, Scores
from modelyard.training.protocols import Network as Call

PROBED = 2000
"""Labelled training samples of a probe, at most."""
RIDGE = 0.1
"""Penalty of the probe's weights, over the number of its samples."""


class PretextConfig(Config):
    """How a network is trained before it sees a label; its head is made anew afterwards."""

    kinds: ClassVar[frozenset[str]] = frozenset()
    """Of samples that it is for; empty: all."""
    epochs: int = Field(10, ge=1)
    """Passes over all training samples, labelled or not."""
    batch_size: int = Field(256, ge=2)
    """Samples of one optimizer step, at most."""
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 2e-3
    """Peak learning rate."""

    def check(self, form: Form, model: nn.Module) -> None:
        """Raises: ConfigError where nothing can be learnt of samples of `form`, or by `model`."""
        told = f"pretrain.method={self.model_dump()['method']}"
        if self.kinds and form.kind not in self.kinds:
            raise ConfigError(
                f"{told}: expected samples of kind {' or '.join(self.kinds)}, received {form.names.many}"
            )
        if not members(model):
            raise ConfigError(
                f"{told}: expected a network of ours, which has features, received {type(model).__name__}"
            )


class Asked(nn.Module):
    """A network, and a head that is for its pre-training alone."""

    def __init__(self, network: Network, head: nn.Module) -> None:
        super().__init__()
        self.network, self.head = network, head

    def forward(self, samples_B: Tensor, *asked: Tensor) -> Tensor:
        """What the head answers; asked for nothing, the features of the samples [B, D]."""
        outputs: Tensor = (
            self.head(self.network, samples_B, *asked) if asked else self.network.features(samples_B)
        )
        return outputs


@dataclass(frozen=True, slots=True)
class Pretext(OneCall):
    """A task whose answers are in the samples. `views` gives the network more than one input."""

    coupling: ClassVar[Coupling] = "sample"
    augment: Augment
    probed: Feed
    """Labelled training samples, for the probe."""

    @classmethod
    def of(cls, augment: Augment, feed: Feed, *more: Any) -> Self:
        """Learning of all samples of `feed`."""
        return cls(augment, feed.part(_some_labelled(feed)), *more)

    def network(self, model: nn.Module) -> nn.Module:
        """All that answer together, each with a head for the task."""
        asked = [Asked(member, self.head(member.eval())) for member in members(model).values()]
        return Ensemble(asked) if len(asked) > 1 else asked[0]

    @abstractmethod
    def views(self, batch: Batch, moment: Moment) -> Batch:
        """What the network is asked, in more than one input."""

    @abstractmethod
    def head(self, network: Any) -> nn.Module:
        """Called with the network and the inputs of a batch."""

    def counts(self, batch: Batch) -> Tensor:
        """Each sample counts one."""
        return torch.ones(len(batch.labels_B), device=batch.labels_B.device)

    def validate(self, network: Call, feed: Feed) -> Scores:
        """Mean loss of the task, by the same chance each time; the probe's accuracy. No label has a say in
        which epoch is kept.
        """
        draw = torch.Generator(feed.labels_N.device).manual_seed(0)
        total, count = 0.0, 0.0
        for batch in feed.in_blocks():
            seen = self.views(batch, Moment(0, 1, 0, draw))
            total += self.losses(network(*seen.inputs), seen).sum().item()
            count += self.counts(seen).sum().item()
        loss = total / max(count, 1.0)
        return Scores(loss, loss, probe_accuracy(network, self.probed, feed))


class FromFeatures(nn.Module):
    """Layers that follow the features, whatever else is given."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, network: Network, samples_B: Tensor, *_others: Tensor) -> Tensor:
        """What the network takes [B, ...] -> [B, ...]."""
        outputs_B: Tensor = self.layers(network.features(samples_B))
        return outputs_B


def features_width(network: Network, form: Form) -> int:
    """Features D of a network in evaluation mode."""
    with torch.no_grad():
        return int(network.features(*blank_inputs(form, 2)).shape[1])


def _some_labelled(feed: Feed) -> Rows:
    """At most `PROBED` rows, evenly spaced."""
    rows_N = (feed.labels_N >= 0).nonzero().flatten().cpu().numpy()
    count = min(PROBED, len(rows_N))
    kept: Rows = rows_N[torch.arange(count).numpy() * len(rows_N) // max(count, 1)]
    return kept


def probe_accuracy(network: Call, train: Feed, validation: Feed) -> float:
    """Share of validation samples that ridge regression from features to classes has right."""
    train_ND, validation_ND = (logits_of(network, feed).double() for feed in (train, validation))
    mean_D, scale_D = train_ND.mean(0), train_ND.std(0).clamp(min=1e-6)
    known_ND, asked_ND = ((features_ND - mean_D) / scale_D for features_ND in (train_ND, validation_ND))
    targets_NK = functional.one_hot(train.labels_N.cpu()).double()
    share_K = targets_NK.mean(0)
    answers_NK = asked_ND @ _ridge(known_ND, targets_NK - share_K) + share_K
    return (answers_NK.argmax(1) == validation.labels_N.cpu()).double().mean().item()


def _ridge(known_ND: Tensor, targets_NK: Tensor) -> Tensor:
    """Weights [D, K] by the smaller of the two systems of equations."""
    rows, width = known_ND.shape
    penalty_RR = torch.eye(min(rows, width), dtype=known_ND.dtype) * RIDGE * rows
    if width <= rows:
        weights_DK: Tensor = torch.linalg.solve(known_ND.T @ known_ND + penalty_RR, known_ND.T @ targets_NK)
        return weights_DK
    duals_NK: Tensor = torch.linalg.solve(known_ND @ known_ND.T + penalty_RR, targets_NK)
    return known_ND.T @ duals_NK
