"""A GPU whose memory another process holds."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from benchmarks.gpu.part import Bench, apart, ended
from benchmarks.gpu.right import FEW_EPOCHS, kill, told_by
from benchmarks.gpu.trainings import Training, recipe_of

LITTLE, NOTHING = 2e9, 1e8
"""Bytes left free: enough for small batches beside CUDA's own half gigabyte, not enough for CUDA."""
SETTLED_S = 2.0
"""How long nothing more must come free: the driver frees what a killed process held some time later."""


def full(bench: Bench) -> None:
    """A training in a full GPU ends with a line and keeps its checkpoint; with room it goes on. Beside
    another it trains.
    """
    size, epochs = (32, 3) if bench.is_dry else (16384, 12)
    wanted = [
        f"training.batch_size={size}",
        f"training.epochs={epochs}",
        "training.min_steps=0",
        "training.precision=fp32",
    ]
    big = Training.of(
        bench, "full big", recipe_of(bench, "rnn" if bench.is_dry else "cnn", "quality", wanted)
    )
    small = Training.of(
        bench, "full small", recipe_of(bench, "rnn", "sprint", [*FEW_EPOCHS, "training.precision=fp32"])
    )
    seen = kill(big, 0.0)
    before = big.checkpoint.read_bytes()
    for title, room in () if bench.is_dry else (("no room", NOTHING), ("little room", LITTLE)):
        with bench.case(title), held(bench, room):
            began = time.monotonic()
            bench.note(title, told=told_by(big, within=10), after_s=time.monotonic() - began)
            assert big.checkpoint.read_bytes() == before, "the checkpoint changed"
            if room == LITTLE:
                ended(
                    apart(functools.partial(_train_and_note, bench, "a small training beside it", small)), 15
                )
    with bench.case("gone on with"):
        ended(apart(functools.partial(_train_and_note, bench, f"gone on with after epoch {seen}", big)), 25)


def _train_and_note(bench: Bench, title: str, training: Training) -> None:
    training.run()
    bench.note(title, epochs=len(training.record["history"]), accuracy=training.accuracy("cpu"))


@contextmanager
def held(bench: Bench, room: float) -> Iterator[None]:
    """Another process holds all memory of the GPU but `room` bytes, in plain allocations."""
    sign = bench.scratch / f"held-{room:.0f}"
    process, late = apart(functools.partial(_hold, room, sign)), time.monotonic() + 10
    try:
        while not sign.exists():
            assert process.is_alive(), "the process that was to hold the memory ended"
            assert time.monotonic() < late, "the memory was not held within 10 s"
            time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.join()
        time.sleep(1.5)  # the driver frees it a moment later


def _hold(room: float, sign: Path) -> None:
    blocks = list(fill(room))
    sign.touch()
    time.sleep(600)
    del blocks


def fill(room: float) -> Iterator[torch.Tensor]:
    """Take the GPU's memory but `room` bytes, and what comes free within the next seconds."""
    until = time.monotonic() + SETTLED_S
    while time.monotonic() < until:
        for block in (1 << 30, 1 << 26):
            while torch.cuda.mem_get_info()[0] > room + block:
                yield torch.empty(block, dtype=torch.uint8, device="cuda")
                until = time.monotonic() + SETTLED_S
        time.sleep(0.05)
