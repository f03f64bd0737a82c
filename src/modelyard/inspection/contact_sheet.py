"""Some images of each class, or of a list, in one picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from modelyard.data.datasets import Dataset, Samples, Split
from modelyard.files import write_atomically

PER_CLASS = 10
MOST_CLASSES = 40
CELL = 56
"""Pixels of an image's longer side."""
LISTED_PER_ROW, MOST_LISTED, LISTED_CELL = 10, 500, 96
"""Of a list: images in a row, images, and pixels of one's longer side."""
GAP, TEXT, WIDEST_LABEL = 4, 14, 220
INK, FAINT, PAPER = (30, 30, 30), (120, 120, 120), (255, 255, 255)


def draw_contact_sheet(dataset: Dataset, path: Path) -> None:
    """PNG: a row of training images for each class, up to `MOST_CLASSES`; name and number of images to the
    left.
    """
    font = _font()
    names = [_fit(name, font) for name in dataset.classes[:MOST_CLASSES]]
    cell = _cell(dataset.train, CELL)
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
    _save(sheet, path)


def draw_captioned(split: Split, captions: Sequence[tuple[str, str]], note: str, path: Path) -> None:
    """PNG: images in their order, up to `MOST_LISTED`, with two short lines below each."""
    font, cell, count = _font(), _cell(split, LISTED_CELL), min(len(split), MOST_LISTED)
    step = LISTED_CELL + 2 * GAP, cell[1] + 2 * TEXT + 4 * GAP
    rows = -(-count // LISTED_PER_ROW)
    sheet = Image.new("RGB", (LISTED_PER_ROW * step[0], rows * step[1] + 2 * TEXT), PAPER)
    draw = ImageDraw.Draw(sheet)
    for at, lines in enumerate(captions[:count]):
        left, top = GAP + at % LISTED_PER_ROW * step[0], GAP + at // LISTED_PER_ROW * step[1]
        sheet.paste(_fitted(split.gather(np.array([at]))[0], cell), (left, top))
        for number, line in enumerate(lines):
            place = left, top + cell[1] + number * (TEXT + GAP // 2)
            draw.text(place, _fit(line, font, LISTED_CELL), (FAINT, INK)[number], font)
    more = f"; the first {count:,} are shown" if count < len(split) else ""
    draw.text((GAP, sheet.height - TEXT - GAP), note + more, FAINT, font)
    _save(sheet, path)


def _font() -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", TEXT)


def _cell(split: Split, longer: int) -> tuple[int, int]:
    """Width and height of an image whose longer side has so many pixels."""
    height, width = split.samples.shape[2:]
    scale = longer / max(width, height)
    return max(1, round(scale * width)), max(1, round(scale * height))


def _save(sheet: Image.Image, path: Path) -> None:
    content = io.BytesIO()
    sheet.save(content, "PNG")
    write_atomically(path, content.getvalue())


def _fitted(image_CHW: Samples, size: tuple[int, int]) -> Image.Image:
    """The image at `size`; small ones are enlarged without blur."""
    image = Image.fromarray(image_CHW[0] if len(image_CHW) == 1 else image_CHW.transpose(1, 2, 0)).convert(
        "RGB"
    )
    return image.resize(size, Image.Resampling.NEAREST if size > image.size else Image.Resampling.BILINEAR)


def _fit(name: str, font: ImageFont.FreeTypeFont, widest: int = WIDEST_LABEL) -> str:
    """The name, shortened to so many pixels."""
    if font.getlength(name) <= widest:
        return name
    return next(
        short for end in range(len(name), -1, -1) if font.getlength(short := f"{name[:end]}…") <= widest
    )
