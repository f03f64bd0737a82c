"""The engines of a worker: a version is tried, checked and opened once, for all names that it has."""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary

from modelyard.bundle import MANIFEST_FILE
from modelyard.errors import BundleError
from modelyard.releases.folders import read_release
from modelyard.serving.models.engine import Engine
from modelyard.serving.models.trials import Trials
from modelyard.serving.options import ServeOptions
from modelyard.serving.processes.events import log_event

Key = tuple[str, str]
"""Name of the model, and version."""


class Engines:
    """The engines in use, and those being opened."""

    def __init__(self, options: ServeOptions, trials: Trials) -> None:
        self._options = options
        self._trials = trials
        self._open: WeakValueDictionary[Key, Engine] = WeakValueDictionary()
        self._opening: dict[Key, asyncio.Task[Engine]] = {}

    async def get(self, key: Key) -> Engine:
        """Raises: ModelyardError when the version must not be served."""
        engine = self._open.get(key)
        if engine is None:
            if key not in self._opening:
                self._opening[key] = asyncio.create_task(self._make(key))
                self._opening[key].add_done_callback(lambda task: self._forget(key, task))
            engine = self._open[key] = await asyncio.shield(self._opening[key])
        return engine

    def _forget(self, key: Key, task: asyncio.Task[Engine]) -> None:
        del self._opening[key]
        if not task.cancelled():
            task.exception()  # or asyncio complains of one that nobody waited for to the end

    async def _make(self, key: Key) -> Engine:
        folder = self._options.releases.joinpath(*key)
        tried = await self._trials.attempt(folder)
        bundle = await asyncio.to_thread(read_release, folder)
        if bundle.digests[MANIFEST_FILE] != tried:
            raise BundleError(f"{folder} was replaced while it was tried; set the alias anew")
        if not bundle.is_recorded:
            log_event(
                "unrecorded",
                {"model": key[0], "version": key[1], "told": "no ledger knows it; it is served as it is"},
            )
        return await asyncio.to_thread(Engine, bundle, provider=self._options.provider)
