"""The training benchmark: textbooks as they are known, ratios that follow from what was measured, nothing
measured twice.
"""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest
import torch

from benchmarks.scaling import folder_rows
from benchmarks.textbook.evidence import Evidence, Mark, mean_accuracy, ratio, trimmed
from benchmarks.textbook.loop import TEXTBOOKS, Images, accuracy, train_epoch
from benchmarks.training import COMPARISONS, row_of
from modelyard.data.datasets import Dataset


def test_the_textbook_network_is_the_known_one() -> None:
    model = TEXTBOOKS["convolutions"].model()
    assert sum(parameter.numel() for parameter in model.parameters()) == 1_199_882


@pytest.mark.parametrize("name", TEXTBOOKS)
def test_a_textbook_learns(name: str, digits: Dataset) -> None:
    torch.manual_seed(0)
    images = Images(digits.test.take(torch.arange(70).numpy()))
    loader = torch.utils.data.DataLoader(images, 35)
    model = TEXTBOOKS[name].model()
    before = {key: value.clone() for key, value in model.named_parameters()}
    train_epoch(model, loader, TEXTBOOKS[name].optimizer(model))
    assert [key for key, value in model.named_parameters() if torch.equal(value, before[key])] == []
    assert 0 <= accuracy(model, loader) <= 1


def mark(name: str, seed: int, accuracy: float, loop: float, epoch: int = 1) -> Mark:
    return Mark(name, seed, epoch, accuracy, loop, loop + 2)


def test_fastest_and_slowest_are_dropped_and_ratios_have_a_spread() -> None:
    assert trimmed([5, 1, 9, 3, 4]) == [3, 4, 5]
    assert trimmed([5, 1]) == [1, 5]
    theirs = [mark("a", seed, 0.9, seconds) for seed, seconds in enumerate([90.0, 100.0, 110.0, 1.0, 900.0])]
    ours = [mark("b", seed, 0.9, seconds) for seed, seconds in enumerate([5.0, 10.0])]
    assert ratio(theirs, ours) == (100 / 7.5, 9.0, 22.0)
    assert ratio(theirs, ours, "wall") == (102 / 9.5, 92 / 12, 112 / 7)


def test_evidence_goes_on_and_the_clock_stops_at_the_first_epoch_that_reaches(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path / "evidence.jsonl")
    for epoch, score in enumerate([0.97, 0.991, 0.989, 0.993], 1):
        evidence.add(mark("convolutions", 0, score, 10.0 * epoch, epoch))
    again = Evidence(tmp_path / "evidence.jsonl")
    assert again.of("convolutions", 0) == evidence.marks
    assert [found.loop for found in again.first_at("convolutions", 0.99)] == [20.0]
    assert mean_accuracy(again.last("convolutions")) == 0.993
    assert again.first_at("convolutions", 0.999) == []


def test_ours_counts_only_where_its_mean_reaches_the_accuracy(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path / "evidence.jsonl")
    for epoch, score in enumerate([0.97, 0.991], 1):
        evidence.add(mark("convolutions", 0, score, 10.0 * epoch, epoch))
    to_target = COMPARISONS[0]
    assert "none of ours reaches 99.00%" in row_of(to_target, evidence)
    for seed, score in enumerate([0.9905, 0.9893]):
        evidence.add(mark("cnn sprint", seed, score, 1.0))
    assert "none of ours reaches 99.00%" in row_of(to_target, evidence)
    evidence.add(mark("cnn standard", 0, 0.992, 4.0))
    assert "standard: 4.0 s, 99.20% (n=1) | 5.0 (5.0-5.0)x" in row_of(to_target, evidence)


def test_a_textbook_that_was_stopped_gives_a_bound(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path / "evidence.jsonl")
    evidence.add(mark("convolutions", 0, 0.985, 60.0, 3))
    evidence.add(mark("cnn sprint", 0, 0.9905, 3.0))
    to_target, whole = COMPARISONS[:2]
    assert "not there after 60.0 s, 98.50% (n=1)" in row_of(to_target, evidence)
    assert "over 20.0 (20.0-20.0)x" in row_of(to_target, evidence)
    assert "not there after" in row_of(whole, evidence)


def test_a_folder_is_written_packed_and_opened_again_by_the_scaling_benchmark(store: Path) -> None:
    rows = list(folder_rows(Namespace(out=store, dataset="digits", folder_images=150)))
    assert [row[:2] for row in rows] == [
        ("written, one process", 150),
        ("packed, first time", 150),
        ("opened again", 150),
    ]
    assert all(isinstance(row[2], float) and row[2] > 0 for row in rows)
