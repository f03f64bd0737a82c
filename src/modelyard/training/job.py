"""One training as it is asked, in a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Self, TextIO

from pydantic import Field

from modelyard.machine.how import How
from modelyard.training.slices import TrainSlice

JOB_FILE = "job.json"
PROBES_FILE = "precision.json"
SPINS = "1000"
"""OpenMP threads that spin for long starve each other as soon as another process needs a core; none makes
small batches slow (figures: docs/results.md)."""


class TrainJob(TrainSlice):
    """Everything a training process needs to know."""

    data_folder: str
    given: dict[str, str] = Field(default_factory=dict)
    """Folders of what it is made from besides, by name of the step (`steps/nodes.py`)."""
    device: str
    checkpoint: str
    cores: int | None = None
    """Threads; None: as torch finds it."""
    code: str = ""
    """Digest of the code that is asked to train; empty: any."""

    def folder(self, name: str) -> Path | None:
        """Of what it is made from under this name, if anything is."""
        return Path(self.given[name]) if name in self.given else None

    @classmethod
    def of(cls, slice: TrainSlice, given: Mapping[str, Path], how: How) -> Self:
        """These weights, from the folders of its parents."""
        others = {name: str(folder) for name, folder in given.items() if name != "data"}
        return cls(
            **dict(slice), data_folder=str(given["data"]), given=others, device=how.device,
            checkpoint=how.checkpoint, cores=how.cores, code=how.code,
        )  # fmt: skip


def answers() -> TextIO:
    """Standard output, for answers alone: what an own module prints from now on goes nowhere."""
    stream = os.fdopen(os.dup(1), "w")
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    return stream
