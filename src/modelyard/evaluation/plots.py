"""Pictures a person would look at. Drawn off screen; every figure is closed again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from modelyard.data.datasets import Dataset, Images
from modelyard.evaluation.metrics import ECE_BINS, Probabilities, confidence_bins, confusion_matrix


@dataclass(frozen=True, slots=True)
class Answers:
    """What one model says of all test images, before and after its temperature."""

    dataset: Dataset
    uncalibrated_NK: Probabilities
    probabilities_NK: Probabilities


def draw_report(folder: Path, answers: Answers, history: list[dict[str, Any]]) -> None:
    """confusion.png, mistakes.png, reliability.png and curves.png in `folder`."""
    _save(_confusion(answers.dataset, answers.probabilities_NK), folder / "confusion.png")
    _save(_mistakes(answers.dataset, answers.probabilities_NK), folder / "mistakes.png")
    _save(_reliability(answers), folder / "reliability.png")
    _save(_curves(history), folder / "curves.png")


def _confusion(dataset: Dataset, probabilities_NK: Probabilities) -> Figure:
    matrix_KK = confusion_matrix(probabilities_NK, dataset.test.labels_N)
    errors_KK = matrix_KK * (1 - np.eye(len(matrix_KK), dtype=int))
    figure = Figure(figsize=(7, 6), layout="constrained")
    axis = figure.subplots()
    axis.imshow(errors_KK, cmap="Reds", vmin=0, vmax=max(1, errors_KK.max()))
    if len(matrix_KK) <= 20:
        for (row, column), count in np.ndenumerate(matrix_KK):
            dark = row != column and count > errors_KK.max() / 2
            axis.text(column, row, str(count), ha="center", va="center", fontsize=8, color="white" if dark else "black")
    axis.set_xticks(range(len(matrix_KK)), dataset.classes, rotation=45, ha="right", parse_math=False)
    axis.set_yticks(range(len(matrix_KK)), dataset.classes, parse_math=False)
    axis.set(xlabel="answer", ylabel="truth", title=f"{errors_KK.sum()} mistakes in {matrix_KK.sum()} test images")
    return figure


def _mistakes(dataset: Dataset, probabilities_NK: Probabilities, most: int = 20) -> Figure:
    answers_N, labels_N = probabilities_NK.argmax(1), dataset.test.labels_N
    wrong = np.flatnonzero(answers_N != labels_N)
    worst = wrong[np.argsort(-probabilities_NK[wrong].max(1), kind="stable")][:most]
    figure = Figure(figsize=(9, 8), layout="constrained")
    figure.suptitle("The most confident mistakes: answer with its probability, then the truth")
    for axis, index in zip(figure.subplots(4, 5).flat, [*worst, *[-1] * (most - len(worst))], strict=True):
        axis.axis("off")
        if index >= 0:
            _show(axis, dataset.test.gather(np.array([index]))[0])
            answer, truth = dataset.classes[answers_N[index]], dataset.classes[labels_N[index]]
            axis.set_title(f"{answer} {probabilities_NK[index].max():.0%}\ntruth {truth}", fontsize=9, parse_math=False)
    return figure


def _reliability(answers: Answers) -> Figure:
    """Expected against observed errors on logarithmic axes: good models live where the usual diagram has one point."""
    figure = Figure(figsize=(6, 5.5), layout="constrained")
    axis = figure.subplots()
    floor = 0.3 / len(answers.dataset.test)
    axis.plot([floor, 1], [floor, 1], color="grey", linewidth=1, label="as often wrong as it says")
    sets = (("before temperature", answers.uncalibrated_NK, "tab:orange"), ("after", answers.probabilities_NK, "tab:blue"))
    for label, probabilities_NK, color in sets:
        bins = confidence_bins(probabilities_NK, answers.dataset.test.labels_N)
        doubts = [max(floor, 1 - confidence) for confidence, _, _ in bins]
        errors = [max(floor, 1 - accuracy) for _, accuracy, _ in bins]
        axis.plot(doubts, errors, "o-", color=color, markersize=5, linewidth=1, alpha=0.8, label=label)
    axis.set(
        xscale="log", yscale="log", xlabel="expected share of errors (1 - confidence)", ylabel="observed share of errors",
        title=f"Calibration on test: {ECE_BINS} bins of equal mass, lowest = no error",
    )  # fmt: skip
    axis.legend()
    return figure


def _curves(history: list[dict[str, Any]]) -> Figure:
    epochs = [report["epoch"] for report in history]
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    loss.plot(epochs, [report["train_loss"] for report in history], ".-", label="training (augmented)")
    loss.plot(epochs, [report["validation_loss"] for report in history], ".-", label="validation")
    loss.set(xlabel="epoch", ylabel="loss (nats)", yscale="log")
    loss.yaxis.set_minor_formatter(NullFormatter())
    loss.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    loss.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    for axis in (loss, accuracy):
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
    loss.legend()
    accuracy.plot(epochs, [100 * report["validation_accuracy"] for report in history], ".-", color="tab:orange")
    accuracy.set(xlabel="epoch", ylabel="validation accuracy (%)")
    return figure


def _show(axis: Any, image_CHW: Images) -> None:
    axis.imshow(image_CHW.transpose(1, 2, 0).squeeze(), cmap="gray", vmin=0, vmax=255)


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=110)
