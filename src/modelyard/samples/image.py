"""One image file as pixels, the same in training, prediction and the server; `fitting.py` says what becomes
of an open image.

A file is told by its first bytes and rid of what its pixels do not need (`extras.py`, `tiff.py`,
`jpeg2000.py`) before Pillow sees it, and its size is bounded before it is decoded.
"""

from __future__ import annotations

import io
import math
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from modelyard.errors import DataError
from modelyard.files import read_regular
from modelyard.samples.extras import without_extras
from modelyard.samples.fitting import GREYS, Seen, fitted, orientation
from modelyard.samples.formats import HEAD_BYTES, kind_of
from modelyard.samples.image_form import ImageForm
from modelyard.samples.reading import AS_EVER, MOST_PIXELS, Reading
from modelyard.samples.tiff import hush_libtiff

GREY_MODES = GREYS | {"LA"}
MOST_BYTES = 256_000_000
"""Of one file: no photo or scan comes near it."""
MAX_SIDE = 65_535
"""JPEG's own; the room for resizing grows with the longer side, however few the pixels are."""
PIXELS_A_SIDE = 200
"""A longer side is allowed where so many times its pixels are."""
DEAR = {"WEBP": 2, "TIFF": 2, "AVIF": 2, "JPEG2000": 4}
"""Their decoders take so many times the memory of a picture: so many pixels each of theirs counts for."""
SLOW, SLOWNESS = frozenset(("bmp_rle", "ppm", "ppm_plain")), 13
"""Decoders that Pillow has in Python."""
LARGE, _ALONE = 50_000_000, threading.RLock()
"""Pictures of more pixels are decoded one at a time: a dozen at once would fill any memory. JPEG is decoded
at a fraction.
"""
T = TypeVar("T")
Images = NDArray[np.uint8]


class UnreadableImage(DataError):
    """A file is not an image, or a damaged one."""

    def __init__(self, path: Path | BinaryIO, reason: str) -> None:
        super().__init__(f"{path}: not a readable image ({reason})")
        self.reason = reason


class TooLarge(UnreadableImage):
    """A picture has more pixels than may be read."""

    def __init__(self, path: Path | BinaryIO, reason: str) -> None:
        super().__init__(path, reason)
        self.args = (f"{path}: {reason}",)


@dataclass(frozen=True, slots=True)
class FileForm:
    """How an image lies in its file, upright."""

    height: int
    width: int
    mode: str
    """Pillow's: L grey, RGB colour, P palette, RGBA transparent, I;16 16-bit, ..."""
    peak: int = field(default=0, compare=False)
    """The largest value of a grey of more than 8 bits; known when its pixels were read, as is:"""
    is_clear: bool = field(default=False, compare=False)
    """Whether a part is transparent; by its head alone whether it may be."""

    @property
    def channels(self) -> int:
        return 1 if self.mode in GREY_MODES else 3


@contextmanager
def pillow_warnings_hushed() -> Iterator[None]:
    """Odd metadata, which changes no pixel, is no news for people. Filters are the whole process's: not from
    threads.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def read_form(path: Path | BinaryIO, max_pixels: int = MOST_PIXELS) -> FileForm:
    """Size and mode from the file's head. Raises: UnreadableImage."""
    return _opened(
        path, max_pixels, lambda image: FileForm(*_upright(image), image.mode, 0, image.has_transparency_data)
    )


def read_image(
    path: Path | BinaryIO, form: ImageForm, reading: Reading = AS_EVER, max_pixels: int = MOST_PIXELS
) -> tuple[FileForm, Images]:
    """The file's form and its pixels, uint8 [C, H, W] of `form`; above `max_pixels` none is read. Raises:
    UnreadableImage.
    """
    found, (pixels_CHW,) = read_on_grounds(path, form, (reading,), max_pixels)
    return found, pixels_CHW


def read_on_grounds(
    path: Path | BinaryIO, form: ImageForm, readings: Sequence[Reading], max_pixels: int = MOST_PIXELS
) -> tuple[FileForm, list[Images]]:
    """`read_image` for several readings of one file, which is decoded once."""

    def pixels(image: Image.Image) -> tuple[FileForm, list[Images]]:
        (height, width), seen, side = _upright(image), Seen(), 2 * max(form.size)
        mode = image.mode
        image.draft(
            "L" if form.channels == 1 else "RGB", (side, side)
        )  # JPEG only: decode a large photo at a fraction of its size
        found = [fitted(image, form, reading, seen).transpose(2, 0, 1) for reading in readings]
        return FileForm(height, width, mode, seen.peak, seen.is_clear), found

    return _opened(path, max_pixels, pixels)


def picture_pixels(picture: str | Path | Image.Image, form: ImageForm, reading: Reading = AS_EVER) -> Images:
    """uint8 [H, W, C] of a file or an open image, brought to `form`. Raises: UnreadableImage."""
    with pillow_warnings_hushed():
        if not isinstance(picture, Image.Image):
            return read_image(Path(picture), form, reading)[1].transpose(1, 2, 0)
        with _reading(Path(getattr(picture, "filename", "") or "the image")):
            picture.load()
            return fitted(picture, form, reading, Seen())


@contextmanager
def _reading(source: Path | BinaryIO) -> Iterator[None]:
    try:
        yield
    except UnreadableImage:
        raise
    except (
        Exception
    ) as error:  # Pillow raises nearly everything on broken files: SyntaxError, TypeError, MemoryError, ...
        reasons: dict[type[Exception], str] = {
            FileNotFoundError: "no such file",
            UnidentifiedImageError: "damaged",
        }
        reason = reasons.get(type(error)) or getattr(error, "strerror", None) or str(error)
        raise UnreadableImage(source, reason.partition("\n")[0] or type(error).__name__) from error


def _opened(source: Path | BinaryIO, max_pixels: int, use: Callable[[Image.Image], T]) -> T:
    """What `use` makes of the file's image, which is opened and not decoded yet. Raises: UnreadableImage,
    TooLarge.
    """
    with _reading(source):
        picture = read_regular(source, MOST_BYTES) if isinstance(source, Path) else source.read()
        kind = kind_of(picture[:HEAD_BYTES], source.suffix.lower() if isinstance(source, Path) else "")
        if kind is None:
            raise ValueError("unknown format")
        picture = without_extras(picture, kind)
        if kind == "TIFF":
            hush_libtiff(Image.core.__file__)  # type: ignore[attr-defined]

        def opened() -> T:
            with Image.open(io.BytesIO(picture), formats=(kind,)) as image:
                _check_pixels(source, image, kind, max_pixels)
                is_large = kind != "JPEG" and math.prod(image.size) > LARGE
                with _ALONE if is_large else nullcontext():
                    return use(image)

        try:
            return opened()
        except Image.DecompressionBombError as error:
            if max_pixels < (Image.MAX_IMAGE_PIXELS or 0):
                raise TooLarge(source, f"too large: {error}; at most {max_pixels} are read") from None
            with _pillows_limit_lifted():
                return opened()


@contextmanager
def _pillows_limit_lifted() -> Iterator[None]:
    """Pillow's own limit is the whole process's. It is lifted only while a picture beyond it is read, one at
    a time, whose size is checked here; a server, which allows fewer pixels, never lifts it."""
    with _ALONE:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _check_pixels(source: Path | BinaryIO, image: Image.Image, kind: str, max_pixels: int) -> None:
    is_slow = bool(image.tile) and image.tile[0][0] in SLOW  # type: ignore[attr-defined]
    most, pixels = max_pixels // (SLOWNESS if is_slow else DEAR.get(kind, 1)), math.prod(image.size)
    if pixels > most:
        raise TooLarge(
            source, f"too large: {image.width} x {image.height} = {pixels} pixels, at most {most} are read"
        )
    if max(image.size) > max(MAX_SIDE, max_pixels // PIXELS_A_SIDE):
        raise TooLarge(source, f"too large: {image.width} x {image.height} pixels is too long")


def _upright(image: Image.Image) -> tuple[int, int]:
    """Height and width."""
    width, height = image.size
    return (width, height) if orientation(image) > 4 else (height, width)
