"""What a sweep came to: means over seeds with their intervals, a table and a picture."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
LONGEST_VALUE = 8


@dataclass(frozen=True, slots=True)
class TrialResult:
    """One training. Chosen by validation; the test images are not looked at."""

    label: str
    seed: int
    assignments: tuple[str, ...] = ()
    """What it changes in the sweep's recipe."""
    state: str = "finished"
    """finished, pruned or failed."""
    validation_accuracy: float = float("nan")
    validation_loss: float = float("nan")
    test_accuracy: float = float("nan")
    """Only of a curve, which chooses nothing."""
    seconds: float = 0.0
    run_id: str = ""
    why: str = ""

    def describe(self) -> str:
        """One line for people."""
        changes = " ".join(("", *self.assignments))
        told = (
            f"validation {self.validation_accuracy:.2%}"
            + (f", test {self.test_accuracy:.2%}" if math.isfinite(self.test_accuracy) else "")
            if self.state == "finished"
            else f"{self.state}: {self.why}"
        )
        return f"{self.label} seed {self.seed}{changes}  {told}"


@dataclass(frozen=True, slots=True)
class Configuration:
    """All seeds of one recipe."""

    label: str
    assignments: tuple[str, ...]
    results: tuple[TrialResult, ...] = field(repr=False)

    @property
    def mean(self) -> float:
        return float(np.mean([result.validation_accuracy for result in self.results]))

    def row(self) -> dict[str, Any]:
        """Mean, standard deviation and Student's 95 % interval over seeds; one seed alone has neither of the
        two.
        """
        accuracies = np.array([result.validation_accuracy for result in self.results])
        count = len(accuracies)
        deviation = float(accuracies.std(ddof=1)) if count > 1 else None
        return {
            "architecture": self.label, "changes": " ".join(map(_short, self.assignments)), "seeds": count,
            "validation %": percent(self.mean), "sd": percent(deviation),
            "95 % ±": percent(student_half_width(accuracies.tolist())),
            "loss": round(float(np.mean([result.validation_loss for result in self.results])), 4),
            "s": round(float(np.mean([result.seconds for result in self.results])), 1),
        }  # fmt: skip


def student_half_width(values: Sequence[float]) -> float | None:
    """Half of Student's 95 % interval of the mean; None of one value."""
    if len(values) < 2:
        return None
    quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1))
    half: float = quantile * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return half


def percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 2)


def _short(assignment: str) -> str:
    """A proposed number with as many digits as a table has room for."""
    key, _, value = assignment.partition("=")
    number = _number(value)
    return f"{key}={number:.4g}" if isinstance(number, float) and len(value) > LONGEST_VALUE else assignment


def configurations(results: Sequence[TrialResult]) -> list[Configuration]:
    """Finished trials by recipe, best mean first."""
    groups: dict[tuple[str, tuple[str, ...]], list[TrialResult]] = defaultdict(list)
    for result in results:
        if result.state == "finished":
            groups[result.label, result.assignments].append(result)
    made = [
        Configuration(*key, tuple(sorted(group, key=lambda result: result.seed)))
        for key, group in groups.items()
    ]
    return sorted(made, key=lambda configuration: -configuration.mean)


def best_by_label(found: Sequence[Configuration]) -> dict[str, Configuration]:
    """Architecture -> its best configuration."""
    best: dict[str, Configuration] = {}
    for configuration in found:
        best.setdefault(configuration.label, configuration)
    return best


def from_record(record: dict[str, Any]) -> TrialResult:
    """A trial as `to_record` and JSON left it."""
    known = {name: value for name, value in record.items() if value is not None}
    return TrialResult(**known | {"assignments": tuple(record["assignments"])})


def to_record(result: TrialResult) -> dict[str, Any]:
    """A trial as JSON can hold it, which knows no NaN."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in asdict(result).items()
    }


def with_earlier(file: Path, results: Sequence[TrialResult]) -> list[TrialResult]:
    """A search that goes on keeps what its summary.json has of before."""
    earlier = (
        [from_record(trial) for trial in json.loads(file.read_text())["trials"]] if file.exists() else []
    )
    known = {(result.label, result.seed, result.assignments) for result in results}
    return [
        result for result in earlier if (result.label, result.seed, result.assignments) not in known
    ] + list(results)


def as_record(results: Sequence[TrialResult]) -> dict[str, Any]:
    """Everything, for summary.json."""
    rows = [configuration.row() for configuration in configurations(results)]
    states = {
        state: sum(result.state == state for result in results) for state in ("finished", "pruned", "failed")
    }
    return {"states": states, "configurations": rows, "trials": [to_record(result) for result in results]}


def draw_parallel_coordinates(results: Sequence[TrialResult], path: Path, title: str) -> None:
    """One line for each finished trial: architecture, what it changes, seed, validation accuracy as the
    colour.
    """
    import matplotlib.pyplot as plt

    finished = [result for result in results if result.state == "finished"]
    keys = sorted({assignment.partition("=")[0] for result in finished for assignment in result.assignments})
    columns = ["architecture", *keys, "seed", "validation %"]
    table = [_coordinates(result, keys) for result in finished]
    scales = [_scale([row[column] for row in table]) for column in range(len(columns))]
    colours = plt.get_cmap("viridis")
    figure, axes = plt.subplots(figsize=(2.2 * len(columns) + 1, 4.5), layout="constrained")
    for row in table:
        heights = [scale[0][str(value)] for scale, value in zip(scales, row, strict=True)]
        axes.plot(range(len(columns)), heights, color=colours(heights[-1]), alpha=0.6, linewidth=1.4)
    for column, (_, ticks) in enumerate(scales):
        axes.axvline(column, color="0.6", linewidth=0.8)
        _write_ticks(axes, column, ticks)
    axes.set_title(f"{title}: each line is one training", fontsize=10)
    axes.set_xticks(range(len(columns)), [name.rpartition(".")[2] for name in columns])
    axes.set_yticks([])
    axes.set_xlim(-0.5, len(columns) - 0.6)
    for side in axes.spines.values():
        side.set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _write_ticks(axes: Any, column: int, ticks: list[tuple[float, str]]) -> None:
    """Beside the axis, over the lines and readable there: left of the first axis, where no line runs, else
    right.
    """
    place: dict[str, Any] = (
        {"xytext": (-4, 0), "ha": "right"} if column == 0 else {"xytext": (4, 0), "ha": "left"}
    )
    ground = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0}
    for height, text in ticks:
        axes.annotate(
            text,
            (column, height),
            textcoords="offset points",
            va="center",
            fontsize=8,
            parse_math=False,
            bbox=ground,
            **place,
        )


def _coordinates(result: TrialResult, keys: Sequence[str]) -> list[str | float]:
    changed = dict(assignment.split("=", 1) for assignment in result.assignments)
    values: list[str | float] = [result.label, *(_number(changed.get(key, "")) for key in keys)]
    return [*values, float(result.seed), round(100 * result.validation_accuracy, 2)]


def _number(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text


def _scale(values: Sequence[str | float]) -> tuple[dict[str, float], list[tuple[float, str]]]:
    """Value -> height between 0 and 1, and a few heights with their text."""
    numbers = [value for value in values if isinstance(value, float)]
    distinct: list[Any] = (
        sorted(set(numbers)) if len(numbers) == len(values) else sorted({str(value) for value in values})
    )
    if isinstance(distinct[0] if distinct else "", float) and len(distinct) > 1:
        low, high = distinct[0], distinct[-1]
        heights = {str(value): (value - low) / (high - low) for value in distinct}
        ticks = [(0.0, f"{low:.4g}"), (0.5, f"{(low + high) / 2:.4g}"), (1.0, f"{high:.4g}")]
        is_whole = all(value.is_integer() for value in (*distinct, (low + high) / 2))
        return heights, ticks if is_whole or not all(value.is_integer() for value in distinct) else ticks[::2]
    heights = {str(value): (place + 0.5) / len(distinct) for place, value in enumerate(distinct)}
    return heights, [(height, text) for text, height in heights.items()]
