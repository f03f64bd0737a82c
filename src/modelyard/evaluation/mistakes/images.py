"""Wrongly answered images in one picture. C channels, H height, W width."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from modelyard.data.datasets import Dataset, Samples
from modelyard.evaluation.figures import save
from modelyard.evaluation.metrics import Probabilities
from modelyard.evaluation.mistakes.worst import worst_mistakes
from modelyard.terminal.printable import elided

ROWS, COLUMNS = 4, 5
LONGEST_TITLE = 20
"""Characters of a class above an image."""


def draw_images(dataset: Dataset, probabilities_NK: Probabilities, folder: Path) -> None:
    """mistakes.png in `folder`."""
    figure = Figure(figsize=(9, 8), layout="constrained")
    figure.suptitle("The most confident mistakes: answer with its probability, then the truth")
    axes, worst = (
        figure.subplots(ROWS, COLUMNS).flat,
        worst_mistakes(dataset, probabilities_NK, ROWS * COLUMNS),
    )
    for axis, mistake in zip_longest(axes, worst):
        axis.axis("off")
        if mistake is None:
            continue
        _show(axis, dataset.test.gather(np.array([mistake.row]))[0])
        answer, truth = (elided(name, LONGEST_TITLE) for name in (mistake.answer, mistake.truth))
        title = f"{answer} {mistake.probability:.0%}\ntruth {truth}"
        axis.set_title(title, fontsize=8, parse_math=False)
    save(figure, folder / "mistakes.png")


def _show(axis: Any, image_CHW: Samples) -> None:
    axis.imshow(image_CHW.transpose(1, 2, 0).squeeze(), cmap="gray", vmin=0, vmax=255)
