"""An open image as a model's pixels: upright, eight bits, on the ground of the training data, in the model's
size.

- Greys of more than 8 bits are scaled by the white of the training data; floating-point ones have none and
  are refused.
- Transparent parts show the ground. The camera's EXIF orientation is applied. Animated files give their first
  frame.
- Other sizes are stretched, padded or cut (`Reading.fit`), bilinear and antialiased.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from modelyard.samples.image_form import ImageForm
from modelyard.samples.reading import Fit, Reading

STRIP_PIXELS = 2**20
GREYS = frozenset(("1", "L", "I", "I;16", "I;16B", "I;16L"))
BILINEAR = Image.Resampling.BILINEAR
TURNS = (
    Image.Transpose.FLIP_LEFT_RIGHT,
    Image.Transpose.ROTATE_180,
    Image.Transpose.FLIP_TOP_BOTTOM,
    Image.Transpose.TRANSPOSE,
    Image.Transpose.ROTATE_270,
    Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_90,
)
"""By EXIF orientation, from 2."""
TURNED = frozenset(("exif", "xmp", "Raw profile type exif", "XML:com.adobe.xmp"))
"""Where Pillow keeps what an orientation may stand in; looking for it where there is none would take a sixth
of the time.
"""


@dataclass(slots=True)
class Seen:
    """What came to light on the way."""

    peak: int = 0
    """The largest value of a grey of more than 8 bits; 0 of another image."""
    is_clear: bool = False
    """Whether a part is transparent, if only half."""


def fitted(image: Image.Image, form: ImageForm, reading: Reading, seen: Seen) -> NDArray[np.uint8]:
    """uint8 [H, W, C] of `form`."""
    channels, height, width = form.chw
    mode, is_grey = "L" if channels == 1 else "RGB", image.mode in GREYS and not image.has_transparency_data
    flat = _flat(image, "L" if is_grey else mode, reading, seen)  # a fourth of the memory, until it is small
    if flat.size != (width, height):
        flat = _resized(flat, (width, height), reading.fit)
    if flat.mode != mode:
        flat = flat.convert(mode)
    if flat.size != (width, height):
        inner, flat = flat, Image.new(mode, (width, height), _colour(reading)[:channels])
        flat.paste(inner, ((width - inner.width) // 2, (height - inner.height) // 2))
    return np.asarray(flat, np.uint8).reshape(form.hwc)


def _resized(flat: Image.Image, size: tuple[int, int], fit: Fit) -> Image.Image:
    """In the size that is wanted, or, to be padded, in one that has its own proportions and fits in."""
    if fit == "stretch":
        return flat.resize(size, BILINEAR)
    across, down = (wanted / had for wanted, had in zip(size, flat.size, strict=True))
    if fit == "pad":
        scale = min(across, down)
        return flat.resize(
            (max(1, int(flat.width * scale + 0.5)), max(1, int(flat.height * scale + 0.5))), BILINEAR
        )
    scale = max(across, down)
    width, height = size[0] / scale, size[1] / scale
    left, top = max(0, (flat.width - width) / 2), max(0, (flat.height - height) / 2)
    return flat.resize(
        size, BILINEAR, (left, top, min(left + width, flat.width), min(top + height, flat.height))
    )


def _flat(image: Image.Image, mode: str, reading: Reading, seen: Seen) -> Image.Image:
    """Upright and on the ground, strip by strip: the steps between take up to 24 bytes a pixel."""
    turn = orientation(image)
    if image.mode == mode and turn == 1 and not image.has_transparency_data:
        return image
    image.load()
    width, height = image.size
    flat = Image.new(mode, (height, width) if turn > 4 else (width, height))
    rows = max(1, STRIP_PIXELS // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        strip = _eight_bit(image.crop((0, top, width, bottom)), reading, seen).convert(mode)
        start = height - bottom if turn in {3, 4, 6, 7} else top
        flat.paste(
            strip.transpose(TURNS[turn - 2]) if turn > 1 else strip, (start, 0) if turn > 4 else (0, start)
        )
    return flat


def orientation(image: Image.Image) -> int:
    """EXIF's, 1 to 8; anything else is no orientation, whatever else is damaged. Pillow turns TIFF itself."""
    if image.format == "TIFF" or image.info.keys().isdisjoint(TURNED):
        return 1
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
        return int(found) if found in range(1, 9) else 1
    except Exception:  # a dozen kinds, as when it opens a file
        return 1


def _eight_bit(image: Image.Image, reading: Reading, seen: Seen) -> Image.Image:
    if image.mode == "F":
        raise ValueError("floating-point pixels have no defined white")
    if image.mode.startswith("I"):
        deep = np.asarray(image).clip(0, 65_535)
        seen.peak = max(seen.peak, int(deep.max()))
        return Image.fromarray((deep.clip(0, reading.white) * (255 / reading.white)).round().astype(np.uint8))
    if image.has_transparency_data:
        drawn = image.convert("RGBA")
        if drawn.getchannel("A").getextrema()[0] == 255:
            return drawn.convert("RGB")
        seen.is_clear = True
        return Image.alpha_composite(Image.new("RGBA", drawn.size, (*_colour(reading), 255)), drawn)
    return image


def _colour(reading: Reading) -> tuple[int, ...]:
    """The ground in three channels."""
    return reading.ground if len(reading.ground) == 3 else reading.ground * 3
