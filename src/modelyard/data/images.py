"""One image file as pixels: every mode, depth and orientation as uint8 grey or colour, the same in training and prediction.

- 16-bit greys are scaled to 8 bits; floating-point ones are refused: nothing says what is white.
- Transparent parts show white paper, as a drawing on a transparent ground is meant to be seen.
- The camera's EXIF orientation is applied. Animated files give their first frame.
- Other sizes are stretched to the wanted one (bilinear, antialiased); the proportions are not kept.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from modelyard.errors import DataError
from modelyard.files import read_regular

SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff"))
GREY_MODES = frozenset(("1", "L", "LA", "I", "I;16", "I;16B", "I;16L"))
ALPHA_MODES = frozenset(("LA", "PA", "RGBA"))
MOST_BYTES = 256_000_000
"""Of one file: no photo or scan comes near it."""
MAX_SIDE = 65_535
"""JPEG's own; the room for resizing grows with the longer side, however few the pixels are."""
STRIP_PIXELS = 2**20
TURNS = (
    Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180, Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.TRANSPOSE,
    Image.Transpose.ROTATE_270, Image.Transpose.TRANSVERSE, Image.Transpose.ROTATE_90,
)  # fmt: skip
"""By EXIF orientation, from 2."""


class UnreadableImage(DataError):
    """A file is not an image, or a damaged one."""

    def __init__(self, path: Path | BinaryIO, reason: str) -> None:
        super().__init__(f"{path}: not a readable image ({reason})")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Form:
    """How an image lies in its file, upright."""

    height: int
    width: int
    mode: str
    """Pillow's: L grey, RGB colour, P palette, RGBA transparent, I;16 16-bit, ..."""

    @property
    def channels(self) -> int:
        return 1 if self.mode in GREY_MODES else 3


@contextmanager
def pillow_warnings_hushed() -> Iterator[None]:
    """Odd metadata, which changes no pixel, is no news for people. Filters are the whole process's: not from threads."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def read_form(path: Path | BinaryIO) -> Form:
    """Size and mode from the file's head. Raises: UnreadableImage."""
    with _reading(path), _open(path) as image:
        return _form(image)


def read_image(
    path: Path | BinaryIO, shape: tuple[int, int, int], max_pixels: int | None = None
) -> tuple[Form, NDArray[np.uint8]]:
    """The file's form and its pixels, uint8 [C, H, W] of `shape`; above `max_pixels` none is read. Raises: UnreadableImage."""
    channels, height, width = shape
    mode = "L" if channels == 1 else "RGB"
    with _reading(path), _open(path) as image:
        if max_pixels and (math.prod(image.size) > max_pixels or max(image.size) > MAX_SIDE):
            raise ValueError(f"{image.width}x{image.height} pixels, at most {max_pixels} are read; scale it down")
        form = _form(image)
        side = 2 * max(height, width)
        image.draft(mode, (side, side))  # JPEG only: decode a large photo at a fraction of its size
        return form, _fit(image, shape).transpose(2, 0, 1)


def picture_pixels(picture: str | Path | Image.Image, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """uint8 [H, W, C] of a file or an open image, brought to `shape` (C, H, W). Raises: UnreadableImage."""
    with pillow_warnings_hushed():
        if not isinstance(picture, Image.Image):
            return read_image(Path(picture), shape)[1].transpose(1, 2, 0)
        with _reading(Path(getattr(picture, "filename", "") or "the image")):
            return _fit(picture, shape)


@contextmanager
def _reading(source: Path | BinaryIO) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # Pillow raises nearly everything on broken files: SyntaxError, TypeError, MemoryError, ...
        reasons: dict[type[Exception], str] = {FileNotFoundError: "no such file", UnidentifiedImageError: "unknown format"}
        reason = reasons.get(type(error)) or getattr(error, "strerror", None) or str(error)
        raise UnreadableImage(source, reason.partition("\n")[0] or type(error).__name__) from error


def _open(source: Path | BinaryIO) -> Image.Image:
    return Image.open(io.BytesIO(read_regular(source, MOST_BYTES)) if isinstance(source, Path) else source)


def _fit(image: Image.Image, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """uint8 [H, W, C]: upright, on white, in the size asked for."""
    channels, height, width = shape
    flat = _flat(image, "L" if channels == 1 else "RGB")
    fitted = flat if flat.size == (width, height) else flat.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(fitted, np.uint8).reshape(height, width, channels)


def _flat(image: Image.Image, mode: str) -> Image.Image:
    """Upright and on white, strip by strip: the steps between take up to 24 bytes a pixel."""
    turn = _orientation(image)
    if image.mode == mode and "transparency" not in image.info and turn == 1:
        return image
    width, height = image.size
    flat = Image.new(mode, (height, width) if turn > 4 else (width, height))
    rows = max(1, STRIP_PIXELS // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        strip = _eight_bit(image.crop((0, top, width, bottom))).convert(mode)
        start = height - bottom if turn in {3, 4, 6, 7} else top
        flat.paste(strip.transpose(TURNS[turn - 2]) if turn > 1 else strip, (start, 0) if turn > 4 else (0, start))
    return flat


def _orientation(image: Image.Image) -> int:
    """EXIF's, 1 to 8; anything else is no orientation."""
    found = image.getexif().get(ExifTags.Base.Orientation, 1)
    return int(found) if found in range(1, 9) else 1


def _form(image: Image.Image) -> Form:
    width, height = image.size
    return Form(width, height, image.mode) if _orientation(image) > 4 else Form(height, width, image.mode)


def _eight_bit(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("floating-point pixels have no defined white")
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image).clip(0, 65535) / 257).round().astype(np.uint8))
    if image.mode in ALPHA_MODES or "transparency" in image.info:
        seen = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen)
    return image
