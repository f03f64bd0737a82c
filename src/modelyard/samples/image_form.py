"""An image as a sample. B batch, C channels, H height, W width."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from modelyard.samples.names import BATCH, IMAGE, Names
from modelyard.samples.tensors import Encoding, TensorSpec

LARGEST = 2**26
"""Values of one image."""


@dataclass(frozen=True, slots=True)
class ImageForm:
    """What all images of a data set are brought to: uint8, 0..255."""

    kind: ClassVar[str] = "image"
    names: ClassVar[Names] = IMAGE
    axes: ClassVar[str] = "channels x height x width"
    channels: int
    height: int
    width: int

    @classmethod
    def from_hwc(cls, value: object) -> Self:
        """From height, width and channels in JSON. Raises: ValueError."""
        sides = list(value) if isinstance(value, list | tuple) else []
        if [type(side) for side in sides] != [int] * 3 or min(sides) < 1 or math.prod(sides) > LARGEST:
            raise ValueError(
                f"expected height, width and channels of at most {LARGEST} values, received {str(value)[:60]}"
            )
        height, width, channels = sides
        return cls(channels, height, width)

    @classmethod
    def from_json(cls, value: object) -> Self:
        """From a manifest. Raises: ValueError."""
        if not isinstance(value, dict) or value.keys() != {"channels", "height", "width"}:
            raise ValueError(f"expected channels, height and width alone, received {str(value)[:60]!r}")
        return cls.from_hwc([value[side] for side in ("height", "width", "channels")])

    @property
    def chw(self) -> tuple[int, int, int]:
        """As data sets store it and networks take it."""
        return self.channels, self.height, self.width

    @property
    def hwc(self) -> tuple[int, int, int]:
        """As files, clients and the graph have it."""
        return self.height, self.width, self.channels

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    @property
    def values(self) -> int:
        """Of one image."""
        return math.prod(self.chw)

    @property
    def facts(self) -> dict[str, object]:
        """What the page, and the metadata of an ONNX file, say of it."""
        return {"image_shape": self.hwc}

    @property
    def encoding(self) -> Pixels:
        """How networks take it."""
        return Pixels(self)

    def blank(self, rows: int) -> NDArray[np.uint8]:
        """So many black images [B, C, H, W]."""
        return np.zeros((rows, *self.chw), np.uint8)

    def __str__(self) -> str:
        return "x".join(map(str, self.chw))


@dataclass(frozen=True, slots=True)
class Pixels(Encoding):
    """The encoding of images."""

    name: ClassVar[str] = "pixels"
    form: ImageForm

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """uint8 [B, H, W, C]."""
        sides = (("height", self.form.height), ("width", self.form.width), ("channels", self.form.channels))
        return (TensorSpec(IMAGE.input, "uint8", ((BATCH, None), *sides)),)

    def raw(self, samples: NDArray[Any]) -> NDArray[Any]:
        """uint8 [B, C, H, W] -> uint8 [B, H, W, C], contiguous."""
        return np.ascontiguousarray(samples.transpose(0, 2, 3, 1))

    def tensors(self, samples: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """uint8 [B, C, H, W] -> float32 0..1 [B, C, H, W]."""
        return (samples.astype(np.float32) / np.float32(255),)
