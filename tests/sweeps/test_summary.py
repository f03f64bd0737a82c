"""Means and intervals over seeds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from modelyard.sweeps.summary import (
    TrialResult,
    as_record,
    best_by_label,
    configurations,
    draw_parallel_coordinates,
    from_record,
    with_earlier,
)

ACCURACIES = (0.91, 0.95, 0.9, 0.97, 0.93)


def results() -> list[TrialResult]:
    made = [
        TrialResult("cnn", seed, (), "finished", value, 0.1, 2.0) for seed, value in enumerate(ACCURACIES)
    ]
    made += [
        TrialResult("cnn", 0, ("model.width=9",), "finished", 0.99, 0.1, 2.0),
        TrialResult("rnn", 0, (), "failed", why="no"),
    ]
    return [
        *made,
        TrialResult("rnn", 1, (), "pruned", why="below"),
        TrialResult("rnn", 2, (), "finished", 0.5, 0.9, 1.0),
    ]


def test_the_interval_is_students() -> None:
    row = next(
        found.row() for found in configurations(results()) if found.label == "cnn" and not found.assignments
    )
    mean, error = float(np.mean(ACCURACIES)), float(stats.sem(ACCURACIES))
    low, high = stats.t.interval(0.95, len(ACCURACIES) - 1, loc=mean, scale=error)
    assert row["seeds"] == 5
    assert row["validation %"] == pytest.approx(100 * mean, abs=0.005)
    assert row["95 % ±"] == pytest.approx(100 * (high - low) / 2, abs=0.005)
    assert row["sd"] == pytest.approx(100 * float(np.std(ACCURACIES, ddof=1)), abs=0.005)


def test_the_best_of_each_is_by_mean_and_failures_count_for_nothing() -> None:
    best = best_by_label(configurations(results()))
    assert best["cnn"].assignments == ("model.width=9",)
    assert best["rnn"].results[0].seed == 2
    assert as_record(results())["states"] == {"finished": 7, "pruned": 1, "failed": 1}


def test_a_search_that_goes_on_keeps_what_it_had(tmp_path: Path) -> None:
    file = tmp_path / "summary.json"
    file.write_text(json.dumps(as_record(results())))
    newer = TrialResult("cnn", 0, (), "finished", 0.2, 0.1, 2.0)
    merged = with_earlier(file, [newer])
    assert merged[-1] == newer
    assert len(merged) == len(results())
    assert from_record(json.loads(file.read_text())["trials"][5]) == results()[5]


def test_one_seed_has_no_interval_and_the_record_is_json_for_every_reader() -> None:
    def refuse(word: str) -> None:
        raise ValueError(word)

    record = json.loads(json.dumps(as_record(results())), parse_constant=refuse)
    alone = next(row for row in record["configurations"] if row["seeds"] == 1)
    assert (alone["sd"], alone["95 % ±"]) == (None, None)
    assert np.isnan(from_record(record["trials"][-2]).validation_accuracy)


def test_a_proposed_number_is_short_in_the_table_and_whole_in_the_record() -> None:
    proposed = "training.optimizer.learning_rate=0.005207204007839988"
    record = as_record([TrialResult("cnn", 0, (proposed, "model.width=24"), "finished", 0.9, 0.1, 2.0)])
    assert (
        record["configurations"][0]["changes"] == "training.optimizer.learning_rate=0.005207 model.width=24"
    )
    assert record["trials"][0]["assignments"] == (proposed, "model.width=24")


def test_the_picture_has_a_line_for_each_trial(tmp_path: Path) -> None:
    draw_parallel_coordinates(results(), tmp_path / "p.png", "sweep mine")
    with Image.open(tmp_path / "p.png") as picture:
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 100
