"""Some images of each class in one picture."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from modelyard.data.datasets import Dataset, Samples
from modelyard.files import write_atomically

PER_CLASS = 10
MOST_CLASSES = 40
CELL = 56
"""Pixels of an image's longer side."""
GAP, TEXT, WIDEST_LABEL = 4, 14, 220
INK, FAINT, PAPER = (30, 30, 30), (120, 120, 120), (255, 255, 255)


def draw_contact_sheet(dataset: Dataset, path: Path) -> None:
    """PNG: a row of training images for each class, up to `MOST_CLASSES`; name and number of images to the
    left.
    """
    font = ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", TEXT)
    names = [_fit(name, font) for name in dataset.classes[:MOST_CLASSES]]
    height, width = dataset.train.samples.shape[2:]
    cell = (
        max(1, round(CELL * width / max(width, height))),
        max(1, round(CELL * height / max(width, height))),
    )
    step = max(cell[1], 2 * TEXT + GAP) + GAP
    label_width = round(max(font.getlength(text) for text in (*names, "100,000 images"))) + 4 * GAP
    size = (label_width + PER_CLASS * (cell[0] + GAP), GAP + len(names) * step + 2 * TEXT)
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    for label, name in enumerate(names):
        rows, top = np.flatnonzero(dataset.train.labels_N == label), GAP + label * step
        draw.text((2 * GAP, top), name, INK, font)
        draw.text((2 * GAP, top + TEXT + GAP), f"{len(rows):,} images", FAINT, font)
        for column, row in enumerate(rows[:PER_CLASS]):
            image = _fitted(dataset.train.gather(np.array([row]))[0], cell)
            sheet.paste(image, (label_width + column * (cell[0] + GAP), top))
    more = len(dataset.classes) - len(names)
    note = f"{dataset.name}: first training images" + (f"; {more} more classes are not shown" if more else "")
    draw.text((2 * GAP, size[1] - TEXT - GAP), note, FAINT, font)
    content = io.BytesIO()
    sheet.save(content, "PNG")
    write_atomically(path, content.getvalue())


def _fitted(image_CHW: Samples, size: tuple[int, int]) -> Image.Image:
    """The image at `size`; small ones are enlarged without blur."""
    image = Image.fromarray(image_CHW[0] if len(image_CHW) == 1 else image_CHW.transpose(1, 2, 0)).convert(
        "RGB"
    )
    return image.resize(size, Image.Resampling.NEAREST if size > image.size else Image.Resampling.BILINEAR)


def _fit(name: str, font: ImageFont.FreeTypeFont) -> str:
    """The name, shortened to `WIDEST_LABEL`."""
    if font.getlength(name) <= WIDEST_LABEL:
        return name
    return next(
        short for end in range(len(name), -1, -1) if font.getlength(short := f"{name[:end]}…") <= WIDEST_LABEL
    )
