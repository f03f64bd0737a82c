"""The served names: which are served, which are not, and why."""

from __future__ import annotations

import asyncio
from collections.abc import Set
from http import HTTPStatus

from modelyard.errors import RequestError, quoted
from modelyard.releases.pointers import CHAMPION, Pointer
from modelyard.serving.models.served import Served


class Roster:
    """Names as the alias files give them, and the state of each."""

    def __init__(self, unloaded: Set[str]) -> None:
        self.current: dict[str, Served] = {}
        self.pointers: dict[str, Pointer] = {}
        self.refused: dict[str, tuple[Pointer, str]] = {}
        self.unloaded = set(unloaded)
        self._following: dict[str, tuple[Pointer, asyncio.Task[None]]] = {}

    @property
    def champions(self) -> list[str]:
        """Names of champions, served or not; a request that names no model goes to the first."""
        return sorted(name for name, pointer in self.pointers.items() if pointer.alias == CHAMPION)

    def default_name(self) -> str:
        """The model of a request that names none: the first champion, or the only name where none is
        released.

        Raises: RequestError (404; 503 while the champion is not served: no other answers in its place).
        """
        self.check_champion()
        if not self.champions and len(self.current) != 1:
            told = (
                "no champion is released; name a model (?model=NAME): "
                f"{', '.join(self.current) or 'none is served'}"
            )
            raise RequestError(told, HTTPStatus.NOT_FOUND)
        return [*self.champions, *self.current][0]

    def check_champion(self) -> None:
        """Raises: RequestError (503) when there is a champion and it is not served."""
        for name in self.champions[:1]:
            if name not in self.current:
                raise RequestError(self.absence(name), HTTPStatus.SERVICE_UNAVAILABLE, "not_ready")

    @property
    def missing(self) -> list[str]:
        """Names that should be served and are not; of those still being loaded only the champion that answers
        first.
        """
        expected = {*self.champions[:1], *self.refused, *(self.unloaded & set(self.champions))}
        return sorted(expected - self.current.keys())

    @property
    def is_ready(self) -> bool:
        """Whether something is served and nothing is missing."""
        return bool(self.current) and not self.missing

    def absence(self, name: str) -> str:
        """Why nothing answers for this name."""
        if name in self.unloaded:
            return f"model {name!r} is unloaded; POST /v2/repository/models/{name}/load"
        if name in self.refused:
            return f"model {name!r} has no version that can be served: {self.refused[name][1]}"
        if name in self._following:
            return f"model {name!r} is being loaded; try again in a moment"
        told = f"Request for unknown model: {quoted(name)} is not found"  # Triton's words
        return f"{told}; served: {', '.join(self.current) or 'none'}"
