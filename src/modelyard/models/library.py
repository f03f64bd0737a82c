"""Networks of torchvision and timm by their names, untrained, for any number of channels."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, Literal

from torch import Tensor, nn

from modelyard.errors import ConfigError
from modelyard.models.blank import blank_inputs
from modelyard.samples import Form

Library = Literal["torchvision", "timm"]
LIBRARIES: tuple[Library, ...] = ("torchvision", "timm")
SIDES = (16, 32, 48, 64, 75, 96, 128, 160, 192, 224, 240, 256, 299, 384)
"""Pixels; tried where a network refuses smaller images."""
SECOND_HEADS = ("googlenet", "inception_v3")
"""Networks with heads that are for training only and need larger images; they are left out."""
LOADING = ("weights", "pretrained", "checkpoint_path")
"""Arguments with which the libraries load weights, from the network or a pickle: an own module's business."""


def library_version(library: Library, name: str) -> str:
    """`torchvision 0.29.2`. Raises: ConfigError where it is not installed, or has no such network."""
    if find_spec(library) is None:
        raise ConfigError(
            f"{library}:{name}: {library} is not installed; install it with: pip install {library}"
        )
    names = _names(library)
    if name.partition(".")[0] not in names or (library == "torchvision" and "." in name):
        close = difflib.get_close_matches(name.lower(), names, n=3) or ["resnet18", "efficientnet_b0"]
        raise ConfigError(f"{library} has no classifier {name!r}; expected one such as {', '.join(close)}")
    return f"{library} {version(library)}"


def _names(library: Library) -> list[str]:
    if library == "timm":
        import timm

        return list(timm.list_models())
    from torchvision import models

    return list(models.list_models(module=models))


def find(library: Library, name: str) -> Callable[..., nn.Module]:
    """Called as an own module: `Name(image_shape, num_classes, ...)`."""

    def make(image_shape: tuple[int, int, int], num_classes: int, **kwargs: Any) -> nn.Module:
        if loading := [word for word in LOADING if word in kwargs]:
            raise ConfigError(
                f"{library}:{name}: model.kwargs.{loading[0]} loads weights; expected an own module "
                "that loads them"
            )
        if library == "timm":
            import timm

            model: nn.Module = timm.create_model(name, pretrained=False, num_classes=num_classes, **kwargs)
        else:
            from torchvision import models

            heads = {"aux_logits": False} if name in SECOND_HEADS else {}
            model = models.get_model(name, weights=None, num_classes=num_classes, **heads | kwargs)
        if image_shape[0] == 1:
            model.register_forward_pre_hook(_grey_to_colours)
        return model

    return make


def _grey_to_colours(_model: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    """[B, 1, H, W] -> [B, 3, H, W]."""
    return inputs[0].expand(-1, 3, -1, -1)


def smallest_side(model: nn.Module, form: Form) -> int | None:
    """Of `SIDES` above the images' own the first with which the network answers, for a message."""
    for side in SIDES:
        if side > min(form.size):
            try:
                model.eval()(*blank_inputs(replace(form, height=side, width=side), 2))
            except Exception:  # too small for it, too
                continue
            return side
    return None
