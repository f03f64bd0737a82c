"""The models one worker serves: loaded beside the old ones, checked, swapped at once, dropped when drained."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from concurrent.futures import Executor
from http import HTTPStatus
from weakref import WeakValueDictionary

from modelyard.errors import BundleError, ModelyardError, RequestError, StoreError, quoted
from modelyard.serving.engine import Engine
from modelyard.serving.events import log_event
from modelyard.serving.metrics import WorkerMetrics
from modelyard.serving.options import ServeOptions
from modelyard.serving.releases import CHAMPION, Pointer, known_versions, read_pointers
from modelyard.serving.served import Served

PINNED_VERSIONS = 4
"""Versions that no alias names and that were asked for by number; the one not used for longest makes room."""


class Repository:
    """Served names and what stands behind them now."""

    def __init__(self, options: ServeOptions, metrics: WorkerMetrics, runner: Executor, unloaded: frozenset[str]) -> None:
        self._options = options
        self._metrics = metrics
        self._runner = runner
        self._engines: WeakValueDictionary[tuple[str, str], Engine] = WeakValueDictionary()
        self._pinned: OrderedDict[tuple[str, str], Served] = OrderedDict()
        self._changing = asyncio.Lock()
        self.current: dict[str, Served] = {}
        self.pointers: dict[str, Pointer] = {}
        self.refused: dict[str, tuple[Pointer, str]] = {}
        self.unloaded = set(unloaded)

    async def start(self) -> None:
        """The first load. Raises: StoreError when nothing can be served."""
        await self.refresh()
        if not self.current:
            reasons = "; ".join(f"{name}: {reason}" for name, (_, reason) in self.refused.items())
            reasons = (
                reasons or f"no such alias of {', '.join(self._options.models) or 'any model'} in {self._options.releases}"
            )
            raise StoreError(f"nothing to serve: {reasons}; see modelyard models list")

    async def refresh(self) -> None:
        """Follow the alias files: load what is new, drop what is gone. A version that is refused changes nothing."""
        async with self._changing:
            options = self._options
            self.pointers = await asyncio.to_thread(read_pointers, options.releases, options.models, options.aliases)
            for name in set(self.current) - set(self.pointers):
                self._drop(name, "its alias is gone")
            for name in set(self.refused) - set(self.pointers):
                del self.refused[name]
            for name, pointer in self.pointers.items():
                if name not in self.unloaded and self._is_news(name, pointer):
                    await self._follow(name, pointer)

    def _is_news(self, name: str, pointer: Pointer) -> bool:
        serving = self.current.get(name)
        refused = self.refused.get(name)
        return (serving is None or serving.version != pointer.version) and (refused is None or refused[0] != pointer)

    async def _follow(self, name: str, pointer: Pointer) -> None:
        try:
            self.current[name] = await self._make(pointer)
        except ModelyardError as error:
            self.refused[name] = (pointer, str(error))
            serving = self.current[name].version if name in self.current else None
            told = {"model": name, "version": pointer.version, "serving": serving, "reason": str(error)}
            log_event("refused", told)
        else:
            self.refused.pop(name, None)
            self._pinned.pop((pointer.model, pointer.version), None)
            log_event("serving", {"model": name, "version": pointer.version})

    async def _make(self, pointer: Pointer) -> Served:
        """Raises: ModelyardError when the version must not be served."""
        key = (pointer.model, pointer.version)
        engine = self._engines.get(key)
        if engine is None:
            folder = self._options.releases / pointer.model / pointer.version
            engine = await asyncio.to_thread(Engine, folder, provider=self._options.provider)
            if engine.manifest.model_name != pointer.model:
                raise BundleError(f"{folder} holds the model {engine.manifest.model_name!r}; publish it under its own name")
            self._engines[key] = engine
        return Served(pointer, engine, options=self._options, metrics=self._metrics, runner=self._runner)

    def _drop(self, name: str, why: str) -> None:
        """Requests that hold the old version finish on it; then its memory goes with the last of them."""
        old = self.current.pop(name)
        log_event("dropped", {"model": name, "version": old.version, "why": why})

    async def find(self, name: str, version: str | None) -> Served:
        """What answers for this name, and version if one is given. Raises: RequestError (404)."""
        serving = self.current.get(name)
        if serving is not None and version in {None, serving.version}:
            return serving
        if version is None:
            raise RequestError(self._absence(name), HTTPStatus.NOT_FOUND)
        return await self._find_version(name, version)

    def _absence(self, name: str) -> str:
        if name in self.unloaded:
            return f"model {name!r} is unloaded; POST /v2/repository/models/{name}/load"
        if name in self.refused:
            return f"model {name!r} has no version that can be served: {self.refused[name][1]}"
        return f"unknown model {quoted(name)}; served: {', '.join(self.current) or 'none'}"

    async def _find_version(self, name: str, version: str) -> Served:
        """Another version of a champion's model, loaded when it is first asked for."""
        if version not in self.versions(name):
            raise RequestError(f"model {quoted(name)} has no version {quoted(version)}", HTTPStatus.NOT_FOUND)
        key = (name, version)
        if key in self._pinned:
            self._pinned.move_to_end(key)
            return self._pinned[key]
        async with self._changing:
            pinned = self._pinned.get(key)
            if pinned is None:
                try:
                    pinned = await self._make(Pointer(name, CHAMPION, version, (0, 0)))
                except ModelyardError as error:
                    raise RequestError(f"version {version} is refused: {error}", HTTPStatus.NOT_FOUND) from error
                self._pinned[key] = pinned
            while len(self._pinned) > PINNED_VERSIONS:
                self._pinned.popitem(last=False)
        return pinned

    def versions(self, name: str) -> list[str]:
        """The versions that can be asked for: a champion's name stands for all of its model's, an alias for one."""
        pointer = self.pointers.get(name)
        if pointer is None or name in self.unloaded:
            return []
        return known_versions(self._options.releases, name) if pointer.alias == CHAMPION else [pointer.version]

    async def load(self, name: str) -> None:
        """Serve an unloaded name again, or try a refused version once more. Raises: RequestError (400)."""
        self.unloaded.discard(name)
        self.refused.pop(name, None)
        await self.refresh()
        if name not in self.current or name in self.refused:
            raise RequestError(self._absence(name))

    async def unload(self, name: str) -> None:
        """Stop serving a name until it is loaded again. Raises: RequestError (400) when it is unknown."""
        async with self._changing:
            if name not in self.pointers:
                raise RequestError(self._absence(name))
            self.unloaded.add(name)
            self.refused.pop(name, None)
            if name in self.current:
                self._drop(name, "unloaded")

    @property
    def is_ready(self) -> bool:
        """Whether something is served and nothing that should be is missing; a name still loading is not missed."""
        return bool(self.current) and all(name in self.current for name in self.refused)

    def index(self) -> list[dict[str, str]]:
        """Every name and version with its state, as the model_repository extension tells it."""
        rows: list[dict[str, str]] = []
        for name, pointer in self.pointers.items():
            serving = self.current.get(name)
            for version in self.versions(name) or [pointer.version]:
                ready = (serving is not None and serving.version == version) or (name, version) in self._pinned
                rows.append({"name": name, "version": version, "state": "READY" if ready else "UNAVAILABLE", "reason": ""})
                if not ready:
                    rows[-1]["reason"] = self._reason(name, version)
        return rows

    def _reason(self, name: str, version: str) -> str:
        refused = self.refused.get(name)
        if name in self.unloaded:
            return "unloaded"
        return refused[1] if refused and refused[0].version == version else "loaded when asked for"
