"""Pictures a person would look at. Drawn off screen; every figure is closed again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from modelyard.data.datasets import Dataset
from modelyard.evaluation.figures import save
from modelyard.evaluation.metrics import Probabilities, confidence_bins, confusion_matrix
from modelyard.evaluation.mistakes import MISTAKES
from modelyard.terminal.printable import elided

MOST_NAMED, WORST = 30, 20
"""Of more classes the `WORST` are shown with their names, beside all without."""
LONGEST_NAME = 24
"""Characters of a class at an axis."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What one model says of all test samples, before and after its temperature."""

    dataset: Dataset
    uncalibrated_NK: Probabilities
    probabilities_NK: Probabilities


def draw_report(folder: Path, answers: Answers, history: list[dict[str, Any]]) -> None:
    """confusion.png, reliability.png, the mistakes, and curves.png of what was trained by epochs, in
    `folder`.
    """
    dataset = answers.dataset
    save(_confusion(dataset, answers.probabilities_NK), folder / "confusion.png")
    MISTAKES[dataset.form.kind](dataset, answers.probabilities_NK, folder)
    save(_reliability(answers), folder / "reliability.png")
    if history:
        save(_curves(history), folder / "curves.png")


def _confusion(dataset: Dataset, probabilities_NK: Probabilities) -> Figure:
    """All classes with their names; of many those that take part in the most mistakes, and all
    without names.
    """
    matrix_KK = confusion_matrix(probabilities_NK, dataset.test.labels_N)
    errors_KK = matrix_KK * (1 - np.eye(len(matrix_KK), dtype=int))
    named = every = np.arange(len(matrix_KK))
    if len(every) > MOST_NAMED:
        named = np.sort(np.argsort(-(errors_KK.sum(0) + errors_KK.sum(1)), kind="stable")[:WORST])
    figure = Figure(figsize=(7, 6) if named is every else (15, 7), layout="constrained")
    axes = figure.subplots(1, 1 if named is every else 2, squeeze=False)[0]
    for axis, rows in zip(axes, (named, every), strict=False):
        axis.imshow(errors_KK[np.ix_(rows, rows)], cmap="Reds", vmin=0, vmax=max(1, errors_KK.max()))
        axis.set(
            xlabel="answer",
            ylabel="truth",
            title=f"the {WORST} of {len(every)} classes with the most mistakes",
        )
    axes[-1].set_title(f"{errors_KK.sum()} mistakes in {matrix_KK.sum()} test {dataset.form.names.many}")
    few, names = len(named) <= WORST, [elided(dataset.classes[label], LONGEST_NAME) for label in named]
    for row, column in np.ndindex(len(named), len(named)) if few else ():
        count = matrix_KK[named[row], named[column]]
        dark = row != column and count > errors_KK.max() / 2
        axes[0].text(
            column, row, count or "", ha="center", va="center", fontsize=8, color="white" if dark else "black"
        )
    axes[0].set_xticks(
        range(len(names)),
        names,
        rotation=45 if few else 90,
        ha="right" if few else "center",
        parse_math=False,
    )
    axes[0].set_yticks(range(len(names)), names, parse_math=False)
    return figure


def _reliability(answers: Answers) -> Figure:
    """Expected against observed errors on logarithmic axes: good models live where the usual diagram has one
    point.
    """
    figure = Figure(figsize=(6, 5.5), layout="constrained")
    axis = figure.subplots()
    floor = 0.3 / len(answers.dataset.test)
    axis.plot([floor, 1], [floor, 1], color="grey", linewidth=1, label="as often wrong as it says")
    sets = (
        ("before temperature", answers.uncalibrated_NK, "tab:orange"),
        ("after", answers.probabilities_NK, "tab:blue"),
    )
    for label, probabilities_NK, color in sets:
        bins = confidence_bins(probabilities_NK, answers.dataset.test.labels_N)
        doubts = [max(floor, 1 - confidence) for confidence, _, _ in bins]
        errors = [max(floor, 1 - accuracy) for _, accuracy, _ in bins]
        axis.plot(doubts, errors, "o-", color=color, markersize=5, linewidth=1, alpha=0.8, label=label)
    axis.set(
        xscale="log", yscale="log", xlabel="expected share of "
"errors (1 - confidence)", ylabel="observed share of errors",
        title=f"Calibration on test: {len(bins)} bins of equal mass, lowest = no error",
    )  # fmt: skip
    axis.legend()
    return figure


def _curves(history: list[dict[str, Any]]) -> Figure:
    epochs = [report["epoch"] for report in history]
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    for name, label in (("train_loss", "training (augmented)"), ("validation_loss", "validation")):
        loss.plot(
            epochs, [max(1e-6, report[name]) for report in history], ".-", label=label
        )  # few samples may cost 0
    loss.set(xlabel="epoch", ylabel="loss (nats)", yscale="log")
    loss.yaxis.set_minor_formatter(NullFormatter())
    loss.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    loss.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    for axis in (loss, accuracy):
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
    loss.legend()
    accuracy.plot(
        epochs, [100 * report["validation_accuracy"] for report in history], ".-", color="tab:orange"
    )
    accuracy.set(xlabel="epoch", ylabel="validation accuracy (%)")
    return figure
