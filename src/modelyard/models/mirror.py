"""An answer from an image and its mirror image. B batch, C channels, H height, W width, K classes."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn

from modelyard.config import Config


class MirrorConfig(Config):
    """What every architecture of ours may be asked for."""

    mirrored: bool = False
    """Evaluate, export and serve the mean of the logits of an image and of its mirror image: fewer mistakes for twice the
    time. Training takes single images, with `training.augment.flip`. Never for digits or letters."""

    def build(self, image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
        """A fresh model for images of (channels, height, width)."""
        network = self.network(image_shape, num_classes)
        return Mirrored(network) if self.mirrored else network

    @abstractmethod
    def network(self, image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
        """What is trained, for images of (channels, height, width)."""


class Mirrored(nn.Module):
    """A network that looks twice when it is not being trained."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """float [B, C, H, W] -> logits [B, K]."""
        logits_BK: Tensor = self.network(images_BCHW)
        return logits_BK if self.training else (logits_BK + self.network(images_BCHW.flip(3))) / 2
