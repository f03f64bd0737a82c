"""Images for a released model: files, folders, pillow's images and raw pixels.

N images, H height, W width, C channels.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modelyard.bundle import Manifest
from modelyard.errors import DataError
from modelyard.inference.reading.reader import Given, Refuse
from modelyard.samples import ImageForm
from modelyard.samples.formats import NAMES
from modelyard.samples.reading import Reading
from modelyard.samples.scan import files_below

if TYPE_CHECKING:
    from PIL.Image import Image

Images = NDArray[np.uint8] | Sequence["str | Path | Image"] | str | Path


@dataclass(frozen=True, slots=True)
class Pictures:
    """Brings pictures to the model's size."""

    form: ImageForm
    reading: Reading
    is_inverted: bool = False

    @classmethod
    def of(cls, manifest: Manifest, *, invert: bool) -> Pictures:
        """For this model; with `invert` dark is bright."""
        reading = manifest.reading
        return cls(manifest.form, reading.inverted() if invert else reading, invert)

    def find(self, words: Sequence[str], refuse: Refuse) -> tuple[list[Path], list[str]]:
        """A file as it is, whatever its name; of a folder every picture below it in their order. And what
        else lies in folders.
        """
        return find_pictures([Path(word) for word in words], refuse)

    def read(self, item: str | Path | Image) -> NDArray[np.uint8]:
        """Pixels [H, W, C]. Raises: DataError for what is no image."""
        from modelyard.samples.image import picture_pixels

        pixels_HWC = picture_pixels(item, self.form, self.reading)
        return 255 - pixels_HWC if self.is_inverted else pixels_HWC

    def shown(self, name: str) -> str:
        """The path."""
        return name

    def size_of(self, sample: NDArray[np.uint8]) -> int:
        """Values of its pixels."""
        return sample.size

    def raw(self, samples: Sequence[NDArray[np.uint8]]) -> NDArray[Any]:
        """[N, H, W, C]"""
        return np.stack(samples)

    def given(self, samples: Images) -> Given:
        """Raw pixels [N, H, W, C] (or [H, W, C]; without C where it is 1), files or pillow's
        images. Raises: DataError for arrays of another shape or type and for files that are no images.
        """
        if isinstance(samples, np.ndarray):
            raw = self._from_array(samples)
            return Given([raw] if len(raw) else [])
        listed = [samples] if isinstance(samples, str | Path) else list(samples)
        return Given([self.raw([self.read(one) for one in listed])] if listed else [])

    @property
    def told(self) -> str:
        """As 28x28x1."""
        return "x".join(map(str, self.form.hwc))

    @property
    def facts(self) -> dict[str, str]:
        """Size, and how files are read."""
        return {"image": self.told, "pictures": self.reading.told}

    def _from_array(self, images: NDArray[Any]) -> NDArray[np.uint8]:
        shape = self.form.hwc
        if images.dtype != np.uint8:
            raise DataError(
                "expected raw pixels, uint8 from 0 to 255, received "
                f"{images.dtype}; scaling is inside the model"
            )
        pixels = images[..., None] if shape[2] == 1 and images.shape[-2:] == shape[:2] else images
        if pixels.shape == shape:
            pixels = pixels[None]
        if pixels.ndim != 4 or pixels.shape[1:] != shape:
            raise DataError(
                f"expected images [N, {', '.join(map(str, shape))}], received {list(images.shape)}"
            )
        return np.ascontiguousarray(pixels)


def find_pictures(paths: Sequence[Path], refuse: Refuse) -> tuple[list[Path], list[str]]:
    """A file as it is, whatever its name; of a folder every picture below it in their order. And what else
    lies in folders.
    """
    files: list[Path] = []
    others: list[str] = []
    for path in paths:
        if not os.path.isdir(path):  # noqa: PTH112 - false for what cannot be looked at: reading it tells why
            files.append(path)
            continue
        try:
            found, beside = files_below(path, "pictures", NAMES)
        except DataError as error:
            refuse(error)
            continue
        files += found
        others += beside
    return files, others
