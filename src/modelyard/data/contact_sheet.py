"""Some images of each class in one picture."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from modelyard.data.datasets import Dataset, Images
from modelyard.files import write_atomically

PER_CLASS = 10
MOST_CLASSES = 40
CELL = 56
"""Pixels a side of the square that an image is fitted into."""
GAP = 4
TEXT = 14
LABEL = 170
INK, FAINT, PAPER = (30, 30, 30), (120, 120, 120), (255, 255, 255)


def draw_contact_sheet(dataset: Dataset, path: Path) -> None:
    """PNG: a row of training images for each class, up to `MOST_CLASSES`; name and number of images to the left."""
    shown = min(len(dataset.classes), MOST_CLASSES)
    width, height = LABEL + PER_CLASS * (CELL + GAP), GAP + shown * (CELL + GAP) + 2 * TEXT
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", TEXT)
    for label in range(shown):
        rows = np.flatnonzero(dataset.train.labels_N == label)
        top = GAP + label * (CELL + GAP)
        draw.text((2 * GAP, top + CELL / 2 - TEXT), _fit(dataset.classes[label], font), INK, font)
        draw.text((2 * GAP, top + CELL / 2 + 2), f"{len(rows):,} images", FAINT, font)
        for column, row in enumerate(rows[:PER_CLASS]):
            cell = _cell(dataset.train.gather(np.array([row]))[0])
            left = LABEL + column * (CELL + GAP) + (CELL - cell.width) // 2
            sheet.paste(cell, (left, top + (CELL - cell.height) // 2))
    more = len(dataset.classes) - shown
    note = f"{dataset.name}: the first training images of " + (
        f"{shown} classes, {more} more are not shown" if more else "each class"
    )
    draw.text((2 * GAP, height - TEXT - 2 * GAP), note, FAINT, font)
    content = io.BytesIO()
    sheet.save(content, "PNG")
    write_atomically(path, content.getvalue())


def _cell(image_CHW: Images) -> Image.Image:
    """The image fitted into a cell, proportions kept; small ones are enlarged without blur."""
    image = Image.fromarray(image_CHW.transpose(1, 2, 0).squeeze(2) if len(image_CHW) == 1 else image_CHW.transpose(1, 2, 0))
    scale = CELL / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.convert("RGB").resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BILINEAR)


def _fit(name: str, font: ImageFont.FreeTypeFont) -> str:
    """The name, shortened to the label's width."""
    room = LABEL - 4 * GAP
    if font.getlength(name) <= room:
        return name
    return next(short for end in range(len(name), -1, -1) if font.getlength(short := f"{name[:end]}…") <= room)
