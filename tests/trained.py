"""Small models of digits: made once for all processes of the tests, and copied into stores whose tests are
about what comes after.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from modelyard.home import Home
from modelyard.machine.environment import private_files
from modelyard.recipes.request import compare_request
from modelyard.recipes.words import Words
from modelyard.steps.nodes import how_of, nodes
from modelyard.steps.preparation import build_requests, prepare
from modelyard.steps.requests import BuildRequest
from modelyard.steps.run import run_step

ASSIGNMENTS = ("training.epochs=2", "training.min_steps=0", "training.max_train_images=600")
WORDS = Words(dataset="digits", preset="smoke", assignments=ASSIGNMENTS)


def builds(home: Home, *architectures: str) -> list[BuildRequest]:
    """What a run with these words asks, on data that are prepared now.

    Equal weights come of as many threads: tests before may have set others in this process.
    """
    torch.set_num_threads(1)
    asked = compare_request(WORDS.model_copy(update={"architectures": architectures}))
    request = asked.model_copy(update={"in_process": True})
    return build_requests(request, prepare(request.dataset, home), home)


class Trained:
    """The steps of `builds`, done, and the graphs in the cache."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self._folder, self._cache = folder, cache

    def steps(self, home: Home, *architectures: str) -> None:
        """Copy those of these architectures into a store, as a run had left them that registered nothing."""
        with pytest.MonkeyPatch.context() as patch, private_files():
            patch.setenv("MODELYARD_CACHE", str(self._cache))
            for architecture in architectures:
                made = Home(self._folder / architecture)
                with FileLock(f"{made.root}.lock"):
                    self._do(made, architecture)
                shutil.copytree(made.steps, home.steps, dirs_exist_ok=True)

    def _do(self, home: Home, architecture: str) -> None:
        """Only the first time: a step that is done is not done again."""
        (request,) = builds(home, architecture)
        for node in nodes(request)[1:]:
            run_step(node, how_of(request, home))
