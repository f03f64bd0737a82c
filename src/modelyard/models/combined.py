"""One answer from several looks at an image: of several networks, or of it and its mirror image.

B batch, C channels, H height, W width, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from modelyard.models.ensemble import EnsembleConfig
from modelyard.models.normalised import NormalisedConfig
from modelyard.samples.image_form import Pixels


class CombinedConfig(NormalisedConfig, EnsembleConfig):
    """What every architecture of ours that sees images may be asked for."""

    mirrored: bool = False
    """Evaluate, export and serve the mean of the logits of an image and of its mirror image: fewer mistakes
    for twice the time. Training takes single images, with `training.augment.flip`. Never for digits or
    letters."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Nothing but what an image is stored as."""
        return (Pixels.name,)

    def build(self, form: Any, num_classes: int) -> nn.Module:
        """A fresh model for samples of `form`."""
        model = super().build(form, num_classes)
        return self.normalised(Mirrored(model) if self.mirrored else model, form.channels)


class Mirrored(nn.Module):
    """A network that looks twice when it is not being trained."""

    network: Any

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """float [B, C, H, W] -> logits [B, K]."""
        return self._looked(images_BCHW, self.network)

    def features(self, images_BCHW: Tensor) -> Tensor:
        """Likewise -> [B, D]."""
        return self._looked(images_BCHW, self.network.features)

    def _looked(self, images_BCHW: Tensor, part: Callable[..., Tensor]) -> Tensor:
        answers_B = part(images_BCHW)
        return answers_B if self.training else (answers_B + part(images_BCHW.flip(3))) / 2
