"""The label-efficiency curve: what is reached with so many labels, and what more of them would bring."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from modelyard.config import Config
from modelyard.errors import ConfigError
from modelyard.files import write_json
from modelyard.home import Home
from modelyard.machine.how import DEFAULT_DEVICE
from modelyard.recipes.named import baselines, named
from modelyard.recipes.recipe import Recipe
from modelyard.recipes.words import Words
from modelyard.sources.names import LEGAL
from modelyard.sweeps.request import REQUEST_FILE
from modelyard.sweeps.summary import TrialResult, percent, student_half_width

SCRATCH, UNLABELLED, BROUGHT = "scratch", "unlabelled", "brought"
WAYS: Mapping[str, tuple[str, ...]] = {
    SCRATCH: (),
    UNLABELLED: ("training.unlabelled=fixmatch",),
    "pre-trained": ("pretrain.method=masked",),
    BROUGHT: (),
}
"""Way of learning -> what it assigns; `brought` is left out where no weights are. Baselines of the data's
kind are ways, too."""
FITTED = 3
"""Points of a way that the outlook follows, the last ones."""
LEAST_ERROR, FLAT = 1e-4, -0.01
"""Below what was counted of 10,000 samples; powers above are no gain."""


class Point(NamedTuple):
    """One training of a curve."""

    way: str
    labels: int
    """0: all."""
    draw: int


class CurveRequest(Config):
    """One curve. The same name must mean the same curve, so that it can be gone on with."""

    name: str
    dataset: str
    architecture: str = "cnn"
    preset: str = "smoke"
    assignments: tuple[str, ...] = ()
    init: str = ""
    unlabelled: str = ""
    ways: tuple[str, ...] = ()
    """Empty: all that the data and what is brought allow."""
    points: tuple[int, ...] = ()
    """Labels of each point, 0 for all; empty: tenfold, from one a class on."""
    draws: int = 3
    device: str = DEFAULT_DEVICE
    skip_unreadable: bool = False

    def words(self, way: str, labels: int, draw: int) -> Words:
        """Of one training."""
        given: dict[str, object] = {"data.labels": labels, "data.labels_seed": draw} if labels else {}
        if self.unlabelled and way != SCRATCH:
            given |= {"data.unlabelled": self.unlabelled}
        if way == BROUGHT:
            given |= {"init": self.init}
        told = tuple(f"{key}={value}" for key, value in given.items())
        return Words(
            dataset=self.dataset, architectures=(self.architecture,), preset=self.preset, seed=draw,
            assignments=(*self.assignments, *WAYS.get(way, ()), *told), device=self.device,
            skip_unreadable=self.skip_unreadable,
        )  # fmt: skip

    def all_ways(self) -> tuple[str, ...]:
        """Those that are asked for, or all. Raises: ConfigError."""
        possible = [way for way in WAYS if way != BROUGHT or self.init]
        possible += list(baselines(self.words(SCRATCH, 0, 0)))
        if unknown := [way for way in self.ways if way not in possible]:
            missing = " (with --init PATH)" * (unknown[0] == BROUGHT)
            raise ConfigError(
                f"--ways {unknown[0]}{missing}: expected some of {', '.join(possible)} for these data"
            )
        return self.ways or tuple(possible)

    def recipe(self, point: Point) -> Recipe:
        """Of one training. Raises: ConfigError."""
        words = self.words(*point)
        others = baselines(words)
        return others[point.way] if point.way in others else next(iter(named(words).values()))

    def grid(self, points: Sequence[int]) -> Iterator[Point]:
        """All trainings, those with few labels first; none where nothing would be unlabelled."""
        ways = self.all_ways()
        for labels in points:
            for way in ways:
                if labels or way != UNLABELLED or self.unlabelled:
                    yield from (Point(way, labels, draw) for draw in range(self.draws))

    def claim(self, home: Home) -> None:
        """Remember what this name means. Raises: ConfigError when it means another curve."""
        if not LEGAL.fullmatch(self.name):
            raise ConfigError(f"--name {self.name!r}: expected lower-case letters, digits and -_.")
        file = home.sweeps / self.name / REQUEST_FILE
        if not file.exists():
            write_json(file, self.model_dump(mode="json"))
        elif (
            file.read_text() != self.model_dump_json()
            and CurveRequest.model_validate_json(file.read_bytes()) != self
        ):
            raise ConfigError(f"curve {self.name!r} exists with other options; choose another --name")


def default_points(num_classes: int, num_all: int) -> tuple[int, ...]:
    """One label a class, ten, a hundred and so on, and all."""
    some = (num_classes * 10**power for power in range(7))
    return (*(count for count in some if count <= num_all / 2), 0)


def parse_points(text: str) -> tuple[int, ...]:
    """`20,100,all`. Raises: ConfigError."""
    points = [0 if part.strip() == "all" else int(part) if part.strip().isdecimal() else -1
              for part in text.split(",")]  # fmt: skip
    if not points or min(points) < 0:
        raise ConfigError(f"--points expects numbers of labels such as 20,100,all, received {text[:60]!r}")
    return tuple(dict.fromkeys(sorted(points, key=lambda count: count or math.inf)))


def curve_rows(results: Mapping[Point, TrialResult], num_all: int) -> list[dict[str, Any]]:
    """Mean, extremes and Student's 95 % interval over draws, of each way with so many labels."""
    rows = []
    for way, labels in dict.fromkeys((point.way, point.labels) for point in results):
        values = [
            result.test_accuracy
            for point, result in results.items()
            if point[:2] == (way, labels) and result.state == "finished"
        ]
        if values:
            rows.append({
                "labels": labels or num_all, "way": way, "draws": len(values),
                "test %": percent(float(np.mean(values))), "least": percent(min(values)),
                "most": percent(max(values)), "95 % ±": percent(student_half_width(values)),
            })  # fmt: skip
    return rows


def outlook(rows: Sequence[Mapping[str, Any]]) -> str:
    """What more labels would bring, after the best way's last points: errors fall as a power of the labels
    (Hestness et al. 2017).
    """
    if not rows:
        return "no training finished"
    most = max(row["labels"] for row in rows)
    best = max((row for row in rows if row["labels"] == most), key=lambda row: row["test %"])
    told = f"{best['way']} is the best with {most:,} labels: {best['test %']:.2f} % on test"
    of_way = [row for row in rows if row["way"] == best["way"]][-FITTED:]
    if len(of_way) < 2:
        return f"{told}; a second point would say what more labels bring"
    labels = np.log([row["labels"] for row in of_way])
    errors = np.log([max(1 - row["test %"] / 100, LEAST_ERROR) for row in of_way])
    slope = float(np.polyfit(labels, errors, 1)[0])
    span = f"from {of_way[0]['labels']:,} to {most:,} labels"
    if slope > FLAT:
        return f"{told}; more labels brought nothing {span}"
    kept = 2**slope
    expected = 100 - kept * (100 - best["test %"])
    return (
        f"{told}; {most:,} more would bring about {expected:.2f} % (each doubling took "
        f"{100 * (1 - kept):.0f} % of the errors away, {span})"
    )
