"""The models that one worker serves: a new version is loaded beside the old one, checked, and put in its
place; the old one is dropped when its last request is done.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from concurrent.futures import Executor
from http import HTTPStatus

from modelyard.errors import ModelyardError, RequestError, StoreError, quoted
from modelyard.releases.folders import demand_readable, known_versions
from modelyard.releases.pointers import CHAMPION, Pointer, read_pointers
from modelyard.serving.models.engines import Engines, Key
from modelyard.serving.models.roster import Roster
from modelyard.serving.models.served import Served
from modelyard.serving.models.trials import Trials
from modelyard.serving.options import ServeOptions
from modelyard.serving.processes.events import log_event
from modelyard.serving.processes.metrics import WorkerMetrics
from modelyard.terminal.printable import MAX_TEXT, shortened

PINNED_VERSIONS = 4
"""Versions kept loaded that no alias names and that were asked for by number; the least recently used makes
room.
"""


class Repository(Roster):
    """Served names and their versions; each name is followed by a task of its own, so that none waits for
    another.
    """

    def __init__(
        self,
        options: ServeOptions,
        metrics: WorkerMetrics,
        runner: Executor,
        unloaded: frozenset[str],
        trials: Trials,
    ) -> None:
        super().__init__(unloaded)
        self._options = options
        self._metrics = metrics
        self._runner = runner
        self._engines = Engines(options, trials)
        self._pinned: OrderedDict[Key, Served] = OrderedDict()
        self._unfit: dict[Key, str] = {}
        """Versions that were asked for and failed; they are not tried again until their name is loaded again.
        """
        self._looking = asyncio.Lock()

    async def start(self) -> None:
        """The first load; what takes more than half of the time of a trial is served later. Raises:
        StoreError when nothing can be served.
        """
        demand_readable(self._options.releases)
        await self.refresh()
        if self._following:
            await asyncio.wait(self._loads(), timeout=self._options.load_timeout_s / 2)
        while self._following and not self.current:
            await asyncio.wait(self._loads(), return_when=asyncio.FIRST_COMPLETED)
        if not self.current:
            reasons = "; ".join(f"{name}: {reason}" for name, (_, reason) in self.refused.items())
            nobody = (
                f"no such alias of {', '.join(self._options.models) or 'any model'} in "
                f"{self._options.releases}"
            )
            raise StoreError(
                f"nothing to serve: {(reasons or nobody)[: 4 * MAX_TEXT]}; see modelyard models list"
            )

    def _loads(self) -> list[asyncio.Task[None]]:
        return [task for _, task in self._following.values()]

    async def refresh(self) -> None:
        """Look at the alias files: begin to load what is new, drop what is gone. A version that is refused
        changes nothing.
        """
        async with self._looking:
            options = self._options
            self.pointers = await asyncio.to_thread(
                read_pointers, options.releases, options.models, options.aliases
            )
        for name in {*self._following, *self.current, *self.refused} - self.pointers.keys():
            self._drop(name, "its alias is gone")
        for name, pointer in self.pointers.items():
            if name not in self.unloaded and self._is_news(name, pointer):
                self._stop_following(name)
                self._following[name] = pointer, asyncio.create_task(self._follow(name, pointer))

    def _is_news(self, name: str, pointer: Pointer) -> bool:
        if name in self._following:
            return self._following[name][0] != pointer
        serving = self.current.get(name)
        refused = self.refused.get(name)
        return (serving is None or serving.version != pointer.version) and (
            refused is None or refused[0] != pointer
        )

    def _stop_following(self, name: str) -> None:
        if name in self._following:
            self._following.pop(name)[1].cancel()

    async def _follow(self, name: str, pointer: Pointer) -> None:
        served = await self._make(pointer)
        if isinstance(served, str):
            self.refused[name] = (pointer, served)
        else:
            self.current = dict(sorted((self.current | {name: served}).items()))  # whichever was ready first
            self.refused.pop(name, None)
            self._pinned.pop((pointer.model, pointer.version), None)
            log_event("serving", {"model": name, "version": pointer.version})
        del self._following[name]

    async def _make(self, pointer: Pointer) -> Served | str:
        """A served version, or a text for clients why it is refused; a bad release affects no other."""
        try:
            if pointer.fault:
                raise StoreError(pointer.fault)
            engine = await self._engines.get((pointer.model, pointer.version))
            return Served(pointer, engine, options=self._options, metrics=self._metrics, runner=self._runner)
        except Exception as error:
            serving, is_foreseen = self.current.get(pointer.name), isinstance(error, ModelyardError)
            reason = shortened(str(error) if is_foreseen else repr(error))
            told = {
                "model": pointer.name,
                "version": pointer.version,
                "serving": serving and serving.version,
                "reason": reason,
            }
            log_event("refused", told)
            return (
                reason.replace(f"{self._options.releases}/", "")
                if is_foreseen
                else "it cannot be opened; see the log"
            )

    def _drop(self, name: str, why: str) -> None:
        """Stop serving a version: requests that hold it finish on it, and its memory is freed with the last
        of them.
        """
        self._stop_following(name)
        self.refused.pop(name, None)
        if old := self.current.pop(name, None):
            log_event("dropped", {"model": name, "version": old.version, "why": why})

    async def find(self, name: str, version: str | None) -> Served:
        """The served model of this name, and of this version if one is given. Raises: RequestError (404)."""
        serving = self.current.get(name)
        if serving is not None and version in {None, serving.version}:
            return serving
        if version is None or name in self.unloaded or name not in self.pointers:
            raise RequestError(self.absence(name), HTTPStatus.NOT_FOUND)
        return await self._find_version(name, version)

    async def _find_version(self, name: str, version: str) -> Served:
        """Another version of a champion's model, loaded when it is first asked for."""
        if version not in self.versions(name):
            raise RequestError(f"model {quoted(name)} has no version {quoted(version)}", HTTPStatus.NOT_FOUND)
        key = (name, version)
        found = (
            self._pinned.get(key)
            or self._unfit.get(key)
            or await self._make(Pointer(name, CHAMPION, version, (0, 0)))
        )
        if isinstance(found, str):
            self._unfit[key] = found
            raise RequestError(f"version {version} is refused: {found}", HTTPStatus.NOT_FOUND)
        found = self._pinned.setdefault(key, found)
        self._pinned.move_to_end(key)
        while len(self._pinned) > PINNED_VERSIONS:
            self._pinned.popitem(last=False)
        return found

    def versions(self, name: str) -> list[str]:
        """The versions that can be asked for: a champion's name stands for all of its model's, an alias for
        one.
        """
        pointer = self.pointers.get(name)
        if pointer is None or name in self.unloaded:
            return []
        return (
            known_versions(self._options.releases, name) if pointer.alias == CHAMPION else [pointer.version]
        )

    async def expect(self, name: str) -> None:
        """Look for a name, also on disk when it is not known yet. Raises: RequestError (400) when there is no
        such alias.
        """
        if name not in self.pointers:
            await self.refresh()
        if name not in self.pointers:
            raise RequestError(self.absence(name))

    async def load(self, name: str) -> None:
        """Serve an unloaded name again, or try a refused version once more. Raises: RequestError (400)."""
        self.unloaded.discard(name)
        self.refused.pop(name, None)
        self._unfit = {key: reason for key, reason in self._unfit.items() if key[0] != name}
        await self.refresh()
        while name in self._following:
            await asyncio.wait([self._following[name][1]])
        if name not in self.current or name in self.refused:
            raise RequestError(self.absence(name))

    async def unload(self, name: str) -> None:
        """Stop serving a name until it is loaded again. Raises: RequestError (400) when it is unknown."""
        if name not in self.pointers:
            raise RequestError(self.absence(name))
        self.unloaded.add(name)
        self._drop(name, "unloaded")

    def index(self) -> list[dict[str, str]]:
        """Every name and version with its state, as the model_repository extension tells it."""
        rows: list[dict[str, str]] = []
        for name, pointer in self.pointers.items():
            serving = self.current.get(name)
            for version in self.versions(name) or [pointer.version]:
                ready = (serving is not None and serving.version == version) or (
                    name,
                    version,
                ) in self._pinned
                rows.append(
                    {
                        "name": name,
                        "version": version,
                        "state": "READY" if ready else "UNAVAILABLE",
                        "reason": "",
                    }
                )
                if not ready:
                    rows[-1]["reason"] = self._reason(name, version)
        return rows

    def _reason(self, name: str, version: str) -> str:
        refused = self.refused.get(name)
        if name in self.unloaded:
            return "unloaded"
        return refused[1] if refused and refused[0].version == version else "loaded when asked for"
