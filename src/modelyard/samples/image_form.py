"""An image as a sample. B batch, C channels, H height, W width."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from modelyard.samples.borders import border_colour
from modelyard.samples.names import BATCH, IMAGE, Names
from modelyard.samples.reading import AS_EVER, Reading
from modelyard.samples.tensors import Encoding, TensorSpec

LARGEST = 2**26
"""Values of one image."""
CONTRACT_VERSION = 1


@dataclass(frozen=True, slots=True)
class ImageForm:
    """What all images of a data set are brought to: uint8, 0..255."""

    kind: ClassVar[str] = "image"
    names: ClassVar[Names] = IMAGE
    axes: ClassVar[str] = "channels x height x width"
    shrunk_by: ClassVar[str] = "data.height and data.width"
    """Keys of a recipe that make samples smaller."""
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
    def sides(self) -> tuple[int, ...]:
        """What a user's own network is called with."""
        return self.chw

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
    def extent(self) -> str:
        """How large they are, for people."""
        return f"{self.width} x {self.height}"

    @property
    def facts(self) -> dict[str, object]:
        """What the page, and the metadata of an ONNX file, say of it."""
        return {"image_shape": self.hwc}

    @property
    def record(self) -> dict[str, object]:
        """What `training.json` says of it."""
        return {"image_shape": list(self.chw)}

    @property
    def encoding(self) -> Pixels:
        """How networks take it."""
        return Pixels(self)

    @property
    def encodings(self) -> dict[str, Encoding]:
        """By name, all ways in which a graph may take it."""
        return {Pixels.name: Pixels(self)}

    def blank(self, rows: int) -> NDArray[np.uint8]:
        """So many black images [B, C, H, W]."""
        return np.zeros((rows, *self.chw), np.uint8)

    def network_inputs(self, rows: int) -> tuple[NDArray[Any], ...]:
        """Blank arguments of `forward`: float32 0..1 [B, C, H, W]."""
        return (np.zeros((rows, *self.chw), np.float32),)

    @property
    def golden_row(self) -> tuple[int | None, ...]:
        """Of a golden sample: as the graph takes it."""
        return self.hwc

    def golden(self, samples: NDArray[Any]) -> NDArray[Any]:
        """Samples as golden ones are kept."""
        return self.encoding.raw(samples)

    def from_golden(self, kept: NDArray[Any], _encoding: Encoding) -> NDArray[Any]:
        """What the graph takes."""
        return kept

    def content(self, block: NDArray[Any]) -> list[Any]:
        """What a digest is taken over."""
        return [block.data]

    def joined(self, parts: Iterable[tuple[NDArray[Any], NDArray[np.int64] | None]]) -> NDArray[Any]:
        """Chosen rows of several arrays as one; None: all rows."""
        return np.concatenate([samples if rows is None else samples[rows] for samples, rows in parts])

    @staticmethod
    def files(part: str) -> tuple[str, ...]:
        """The arrays of a split on disk, but its labels."""
        return (f"{part}_images.npy",)

    def write(self, folder: Path, part: str, blocks: Iterable[NDArray[Any]]) -> None:
        """A split's file of however many images come.

        Not through a memory map: there a full disk kills the process (SIGBUS).
        """
        count = 0
        with (folder / self.files(part)[0]).open("wb") as stream:
            _write_npy_header(stream, (count, *self.chw))
            for block in blocks:
                stream.write(np.ascontiguousarray(block).data)
                count += len(block)
            stream.seek(0)
            _write_npy_header(stream, (count, *self.chw))  # numpy pads it so that a longer count fits

    @classmethod
    def open(cls, folder: Path, part: str, _value: object) -> NDArray[np.uint8]:
        """The split's images, mapped into memory. Raises: OSError, ValueError."""
        mapped: NDArray[np.uint8] = np.load(folder / cls.files(part)[0], mmap_mode="r", allow_pickle=False)
        return mapped

    def reading(self, few: Iterable[NDArray[np.uint8]]) -> Reading:
        """How samples that never were files are read: they lie on the ground that is at their border."""
        return Reading(ground=border_colour(few) or AS_EVER.ground)

    @staticmethod
    def reading_from_json(value: object) -> Reading:
        """Raises: ValueError."""
        return Reading.from_json(value)

    @staticmethod
    def told_of(reading: Reading) -> str:
        """How files become samples, for people."""
        return reading.told

    def contract(self, reading: Reading) -> dict[str, Any]:
        """All that turns a picture into a model's input; `mode` and `resampling` are Pillow's names."""
        return {
            "version": CONTRACT_VERSION,
            "input": self.names.input,
            "datatype": "uint8",
            "range": [0, 255],
            "layout": "NHWC",
            "height": self.height,
            "width": self.width,
            "channels": self.channels,
            "mode": "L" if self.channels == 1 else "RGB",
            "resampling": "bilinear",
            **asdict(reading),
            "ground": list(reading.ground * self.channels)[: self.channels],
        }

    def __str__(self) -> str:
        return "x".join(map(str, self.chw))


@dataclass(frozen=True, slots=True)
class Pixels(Encoding):
    """The encoding of images."""

    name: ClassVar[str] = "pixels"
    value: ClassVar[str] = "pixels"
    form: ImageForm

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """uint8 [B, H, W, C]."""
        sides = (("height", self.form.height), ("width", self.form.width), ("channels", self.form.channels))
        return (TensorSpec(IMAGE.input, "uint8", ((BATCH, None), *sides)),)

    @property
    def told(self) -> str:
        """Range and order."""
        return f"uint8 from 0 to 255, [N, {', '.join(map(str, self.form.hwc))}] (NHWC), unscaled"

    def raw(self, samples: NDArray[Any]) -> NDArray[Any]:
        """uint8 [B, C, H, W] -> uint8 [B, H, W, C], contiguous."""
        return np.ascontiguousarray(samples.transpose(0, 2, 3, 1))

    def loosened(self, raw: NDArray[Any], by: int) -> NDArray[Any]:
        """As they are: no image is padded."""
        return raw


def _write_npy_header(stream: BinaryIO, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
