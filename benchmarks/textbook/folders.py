"""A split as a folder of PNG files, as people have their own data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from modelyard.data.datasets import Split

BLOCK = 10_000


def write_folder(folder: Path, split: Split, count: int | None = None) -> None:
    """`folder/<label>/<number>.png` of grey images; `count` of them, the split's over and over,
    or each once.
    """
    wanted = len(split) if count is None else count
    for label in np.unique(split.labels_N):
        (folder / str(label)).mkdir(parents=True)
    for start in range(0, wanted, BLOCK):
        rows = np.arange(start, min(start + BLOCK, wanted)) % len(split)
        images_BCHW, labels_B = split.gather(rows), split.labels_N[rows]
        for number, (image_CHW, label) in enumerate(zip(images_BCHW, labels_B, strict=True), start):
            Image.fromarray(image_CHW[0]).save(folder / str(label) / f"{number}.png", compress_level=1)
