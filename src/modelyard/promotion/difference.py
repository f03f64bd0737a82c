"""Two versions side by side: recipe, data, metrics, classes, and the answers that changed."""

from __future__ import annotations

from typing import Any

import numpy as np

from modelyard.bundle import Manifest
from modelyard.data.datasets import Dataset
from modelyard.data.packed import open_packed
from modelyard.errors import DataError, StoreError
from modelyard.home import Home
from modelyard.inspection.measures import measures_of
from modelyard.promotion.pairs import Pair
from modelyard.promotion.predictions import data_folder, pair_up, released
from modelyard.registry.versions import Version

METRICS = (
    "validation/accuracy",
    "test/accuracy",
    "test/macro_f1",
    "test/balanced_accuracy",
    "test/min_recall",
    "test/nll",
    "test/ece",
    "onnx/latency_ms_p50",
    "onnx/latency_ms_p99",
    "onnx/bytes",
    "model/parameters",
    "train/seconds",
)
EXAMPLES = 10
"""Test samples told of those that are answered otherwise."""
Row = dict[str, Any]


def difference(home: Home, first: Version, second: Version) -> dict[str, Any]:
    """The comparison as JSON. Paired figures are on the second version's test samples; else `not_compared`
    says why.
    """
    manifests = released(home, first).manifest, released(home, second).manifest
    told: dict[str, Any] = {
        "versions": [f"{version.name}@{version.number}" for version in (first, second)],
        "architectures": [manifest.architecture for manifest in manifests],
        "recipe": _recipe_rows(*manifests),
        "data": [_data(home, version) for version in (first, second)],
        "metrics": _metric_rows(*manifests),
    }
    try:
        pair = pair_up(home, second, first, data_folder(home, second))
    except (StoreError, DataError) as error:
        pair = str(error)
    return told | ({"not_compared": pair} if isinstance(pair, str) else _paired(pair))


def _recipe_rows(first: Manifest, second: Manifest) -> list[Row]:
    """Keys that differ."""
    left, right = _flat(first.recipe), _flat(second.recipe)
    keys = [key for key in left | right if left.get(key) != right.get(key)]
    return [{"key": key, "first": left.get(key), "second": right.get(key)} for key in keys]


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        leaves |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return leaves


def _data(home: Home, version: Version) -> Row:
    told: Row = {"digest": version.tags.get("data_digest", "")}
    try:
        dataset: Dataset = open_packed(data_folder(home, version), verify=False)
    except (StoreError, DataError):
        return told
    return told | {"train": len(dataset.train), "test": len(dataset.test), "classes": len(dataset.classes)}


def _metric_rows(first: Manifest, second: Manifest) -> list[Row]:
    rows: list[Row] = []
    for name in METRICS:
        left, right = first.metrics.get(name), second.metrics.get(name)
        change = None if left is None or right is None else right - left
        rows.append({"metric": name, "first": left, "second": right, "change": change})
    return rows


def _paired(pair: Pair) -> dict[str, Any]:
    """The champion's place in the pair is the first version's."""
    second_N, first_N = pair.correct()
    overall = pair.overall()
    changed_N = pair.candidate_NK.argmax(1) != pair.champion_NK.argmax(1)
    by_class = {change.name: change for change in pair.by_class()}
    classes: list[Row] = []
    for number, name in enumerate(pair.classes):
        rows_N = pair.labels_N == number
        if rows_N.any():
            left, right = float(first_N[rows_N].mean()), float(second_N[rows_N].mean())
            classes.append(
                {
                    "class": name,
                    pair.names.many: int(rows_N.sum()),
                    "first": left,
                    "second": right,
                    "change": right - left,
                    "p (Holm)": by_class[name].p_value,
                }
            )
    return {
        "samples": pair.names.many,
        "classes": classes,
        "mcnemar": {
            "gained": overall.gained,
            "lost": overall.lost,
            "p_value": overall.p_value,
            pair.names.many: len(second_N),
        },
        "changed_answers": int(changed_N.sum()),
        "examples": [_example(pair, int(index)) for index in np.flatnonzero(changed_N)[:EXAMPLES]],
    }


def _example(pair: Pair, index: int) -> Row:
    first, second = int(pair.champion_NK[index].argmax()), int(pair.candidate_NK[index].argmax())
    row, names = int(pair.rows_N[index]), pair.classes
    return {
        f"test {pair.names.one}": row,
        **measures_of(pair.test.form).shown(pair.test.gather(np.array([row]))[0]),
        "label": names[int(pair.labels_N[index])],
        "first": names[first],
        "second": names[second],
    }
