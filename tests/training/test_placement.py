"""Ranks that train together take the same way, though their clocks and probes disagree."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from modelyard.data.datasets import Dataset
from modelyard.data.splits import DataConfig, Splits, make_splits
from modelyard.recipes.named import make_recipe
from modelyard.samples import ImageForm
from modelyard.training import loop, parts
from modelyard.training.checkpoint import Pace
from modelyard.training.loop import TrainResult, train
from modelyard.training.placement import Single
from modelyard.training.state import TrainState

T = TypeVar("T")
RANKS = 2


class Meeting:
    """Where the ranks, threads here, wait for each other; whoever waits alone for long breaks it."""

    def __init__(self) -> None:
        self.barrier = threading.Barrier(RANKS, timeout=20)
        self.said: dict[int, tuple[str, object]] = {}
        self.asked: list[str] = []

    def exchange(self, rank: int, what: str, value: object) -> list[object]:
        """What all ranks said; all of them must have been asked the same."""
        self.said[rank] = (what, value)
        self.barrier.wait()
        said = [self.said[number] for number in range(RANKS)]
        self.barrier.wait()
        assert {asked for asked, _ in said} == {what}
        self.asked += [what] if rank == 0 else []
        return [answer for _, answer in said]


class Rank(Single):
    """One of two; each keeps its own network, which is enough to see where they go."""

    def __init__(self, rank: int, meeting: Meeting) -> None:
        super().__init__(torch.device("cpu"))
        self.rank = rank
        self._meeting = meeting

    def share(self, rows_B: Tensor) -> Tensor:
        return rows_B[self.rank :: RANKS]

    def total(self, value: Tensor) -> Tensor:
        first, second = self._meeting.exchange(self.rank, "total", value)
        assert isinstance(first, Tensor) and isinstance(second, Tensor)
        return first + second

    def agree(self, value: T) -> T:
        return self._meeting.exchange(self.rank, "agree", value)[0]  # type: ignore[return-value]

    def whole(self, state: TrainState) -> dict[str, Tensor]:
        self._meeting.exchange(self.rank, "whole", None)
        return super().whole(state)

    def restore(self, state: TrainState, tensors: dict[str, Tensor]) -> None:
        self._meeting.exchange(self.rank, "restore", None)
        super().restore(state, tensors)


@pytest.fixture
def splits(digits: Dataset) -> Splits:
    few = Dataset(digits.name, digits.train.take(np.arange(200)), digits.test, digits.classes, "")
    return make_splits(few, DataConfig())


def trained(splits: Splits, changes: list[str], checkpoint: Path) -> tuple[list[TrainResult], Meeting]:
    """What each rank came to."""
    meeting, results, errors = Meeting(), dict[int, TrainResult](), list[BaseException]()
    config = make_recipe("rnn", "smoke").training.override(["batch_size=64", "min_steps=0", *changes])
    models = [make_recipe("rnn", "smoke").model.build(ImageForm(1, 28, 28), 10) for _ in range(RANKS)]

    def run(rank: int) -> None:
        try:
            placement = Rank(rank, meeting)
            results[rank] = train(
                models[rank], splits, config, seed=rank, placement=placement, checkpoint=checkpoint
            )
        except BaseException as error:
            errors.append(error)
            meeting.barrier.abort()

    threads = [threading.Thread(target=run, args=(rank,), daemon=True) for rank in range(RANKS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors and not any(thread.is_alive() for thread in threads)
    return [results[rank] for rank in range(RANKS)], meeting


class Clock(Pace):
    """Due on one rank, never on the other; which is which changes with each question."""

    asked = 0

    def is_due(self) -> bool:
        Clock.asked += 1
        return Clock.asked % 2 == 0


def test_clocks_probes_and_stops_that_disagree_hang_nothing(
    splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(["fp32", "bf16"])

    def probe(*_: object) -> str:
        return next(answers)

    def is_over(state: TrainState, *_: object) -> bool:
        """Told by a rank's own losses, which the ranks do not share."""
        return len(state.history) >= 3 + int(state.losses_N.isfinite().sum()) % 2

    monkeypatch.setattr(loop, "Pace", Clock)
    monkeypatch.setattr(parts, "choose_precision", probe)
    monkeypatch.setattr(loop, "_is_over", is_over)
    results, meeting = trained(splits, ["epochs=5"], tmp_path / "c")
    assert results[0].precision == results[1].precision
    assert len(results[0].history) == len(results[1].history)
    seconds = [[report.validation_loss for report in result.history] for result in results]
    assert seconds[0] == seconds[1], "scores are the first rank's"
    assert meeting.asked.count("agree") > 5


def test_the_counts_of_a_step_are_those_of_all_ranks(splits: Splits, tmp_path: Path) -> None:
    _, meeting = trained(splits, ["epochs=2", "precision=fp32", "patience=1"], tmp_path / "c")
    assert meeting.asked.count("total") == sum(2 * [-(-180 // 32)])
    assert meeting.asked.count("whole") >= 1


def test_one_process_is_a_rank_of_its_own() -> None:
    single, rows_B = Single(torch.device("cpu")), torch.arange(5)
    assert single.share(rows_B) is rows_B and single.total(rows_B) is rows_B
    assert single.agree("x") == "x" and single.rank == 0
    weights = single.place(nn.Conv2d(3, 5, 3)).state_dict()
    assert weights["weight"].is_contiguous(memory_format=torch.channels_last)
