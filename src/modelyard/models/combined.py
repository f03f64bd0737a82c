"""One answer from several: of several networks, or of an image and its mirror image.

B batch, C channels, H height, W width, K classes.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from modelyard.models.given import GivenConfig
from modelyard.samples import Form


class CombinedConfig(GivenConfig):
    """What every architecture of ours may be asked for."""

    members: int = Field(1, ge=1, le=16)
    """Train so many networks at once, each on its part of every batch, and evaluate, export and serve the
    mean of their logits (deep ensembles: Lakshminarayanan et al. 2017). `training.batch_size` and
    `training.epochs` times as large give
    each what it would have had alone; time and size grow as much."""
    mirrored: bool = False
    """Evaluate, export and serve the mean of the logits of an image and of its mirror image: fewer mistakes
    for twice the time. Training takes single images, with `training.augment.flip`. Never for digits or
    letters."""

    def build(self, form: Form, num_classes: int) -> nn.Module:
        """A fresh model for samples of `form`."""
        networks = [self.network(form, num_classes) for _ in range(self.members)]
        model = Ensemble(networks) if len(networks) > 1 else networks[0]
        return Mirrored(model) if self.mirrored else model

    @abstractmethod
    def network(self, form: Form, num_classes: int) -> nn.Module:
        """One network that is trained, for samples of `form`."""


class Ensemble(nn.Module):
    """Networks of one kind that differ in their first weights and in the images that each has seen when."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """float [B, C, H, W] -> logits [B, K]: the mean over the members, or in training each image's from
        one of them.
        """
        members = len(self.networks)
        if not self.training:
            return torch.stack([network(images_BCHW) for network in self.networks]).mean(0)
        if len(images_BCHW) < 2 * members:  # batch norm needs two images
            first_BK: Tensor = self.networks[0](images_BCHW)
            return first_BK
        parts = zip(self.networks, images_BCHW.tensor_split(members), strict=True)
        logits_BK = torch.cat([network(part_BCHW) for network, part_BCHW in parts])
        # the same values; but to each member its gradient is the mean over its own images, as if it were
        # trained alone
        return logits_BK.detach() + members * (logits_BK - logits_BK.detach())


class Mirrored(nn.Module):
    """A network that looks twice when it is not being trained."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """float [B, C, H, W] -> logits [B, K]."""
        logits_BK: Tensor = self.network(images_BCHW)
        return logits_BK if self.training else (logits_BK + self.network(images_BCHW.flip(3))) / 2
