"""The label-efficiency curve as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MARKERS = "os^Dvx"


def draw_curve(rows: Sequence[Mapping[str, Any]], path: Path, title: str) -> None:
    """PNG: test error by labels, by powers; the mean of the draws is a line, their extremes a band."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FuncFormatter, NullFormatter

    figure, axes = plt.subplots(figsize=(7.5, 4.8), layout="constrained")
    for number, way in enumerate(dict.fromkeys(row["way"] for row in rows)):
        own = [row for row in rows if row["way"] == way]
        labels = [row["labels"] for row in own]
        mean, least, most = ([100.001 - row[name] for row in own] for name in ("test %", "least", "most"))
        (line,) = axes.plot(labels, mean, marker=MARKERS[number % len(MARKERS)], label=way)
        axes.fill_between(labels, least, most, color=line.get_color(), alpha=0.15, linewidth=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(sorted({row["labels"] for row in rows}))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    for which in ("major", "minor"):
        getattr(axes.yaxis, f"set_{which}_formatter")(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axes.grid(which="both", color="0.9")
    axes.set(xlabel="labels", ylabel="test error %", title=title)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
