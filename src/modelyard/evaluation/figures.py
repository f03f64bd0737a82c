"""Figures on disk."""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def save(figure: Figure, path: Path) -> None:
    """PNG; drawn off screen."""
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=110)
