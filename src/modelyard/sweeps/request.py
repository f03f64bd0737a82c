"""What a sweep is asked: a grid of architectures and seeds, or ranges that are searched."""

from __future__ import annotations

import math
import re
import socket
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Self
from urllib.parse import urlsplit

from modelyard.config import Config
from modelyard.errors import ConfigError
from modelyard.files import write_json
from modelyard.home import Home
from modelyard.machine.how import DEFAULT_DEVICE
from modelyard.recipes.named import named
from modelyard.recipes.recipe import Recipe
from modelyard.recipes.request import try_models
from modelyard.recipes.words import Words
from modelyard.sources.names import LEGAL

REQUEST_FILE = "request.json"
RUNNERS = {"local": "", "dask": "prefect_dask", "ray": "prefect_ray"}
"""Engine -> the package it needs."""
CONNECT_SECONDS = 10.0


class Range(Config):
    """Values of one recipe key: from `low` to `high`, or one of `choices`."""

    key: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    """Only integers."""
    choices: tuple[str, ...] = ()


class SweepRequest(Config):
    """One sweep. The same name must mean the same sweep, so that it can be gone on with."""

    name: str
    dataset: str
    architectures: tuple[str, ...]
    preset: str = "smoke"
    assignments: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    ranges: tuple[Range, ...] = ()
    trials: int = 0
    """Configurations tried for each architecture when there are ranges."""
    device: str = DEFAULT_DEVICE
    skip_unreadable: bool = False
    model_name: str = ""

    @property
    def words(self) -> Words:
        """As for one run, with the first seed."""
        shared = {"dataset", "architectures", "preset", "assignments", "device", "skip_unreadable"}
        return Words(seed=self.seeds[0], name=self.model_name, **self.model_dump(include=shared))

    def recipes(self, extra: Sequence[str] = ()) -> dict[str, Recipe]:
        """Label -> recipe, with the sweep's assignments and `extra` ones. Raises: ConfigError."""
        return named(self.words, extra)

    def with_names(self) -> Self:
        """Where no architecture is named, those that a run of the data would compare. Raises: ConfigError."""
        return self.model_copy(update={"architectures": self.architectures or tuple(self.recipes())})

    def made_params(self) -> dict[str, str]:
        """What was asked, as the parameters of the sweep's own run."""
        told = self.model_dump(mode="json", exclude={"name", "ranges"}, exclude_defaults=True)
        told |= {"ranges": [chosen.key for chosen in self.ranges]} if self.ranges else {}
        return {
            name: " ".join(map(str, value)) if isinstance(value, list) else str(value)
            for name, value in told.items()
        }


def parse_seeds(text: str) -> tuple[int, ...]:
    """`0-19` or `0,1,2`. Raises: ConfigError."""
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if match is None or int(match[2] or match[1]) < int(match[1]):
            raise ConfigError(f"--seeds expects numbers or ranges such as 0,1,2 or 0-19, received {text!r}")
        seeds += range(int(match[1]), int(match[2] or match[1]) + 1)
    return tuple(dict.fromkeys(seeds))


def parse_range(text: str) -> Range:
    """`key=low:high`, `key=low:high:log` or `key=a|b|c`. Raises: ConfigError."""
    key, separator, values = text.partition("=")
    if not separator or not key or not values:
        raise ConfigError(f"--range expects key=low:high[:log] or key=a|b|c, received {text!r}")
    if "|" in values:
        return Range(key=key, choices=tuple(values.split("|")))
    low, _, rest = values.partition(":")
    high, _, scale = rest.partition(":")
    try:
        bounds = float(low), float(high)
    except ValueError:
        raise ConfigError(f"--range expects key=low:high[:log] or key=a|b|c, received {text!r}") from None
    if (
        not bounds[0] < bounds[1]
        or not all(map(math.isfinite, bounds))
        or scale not in {"", "log"}
        or (scale and bounds[0] <= 0)
    ):
        raise ConfigError(f"--range {key} expects low below high (and above 0 for log), received {values!r}")
    whole = all(re.fullmatch(r"-?\d+", bound) for bound in (low, high))
    return Range(key=key, low=bounds[0], high=bounds[1], log=scale == "log", whole=whole)


def as_text(chosen: Range, value: float | int | str) -> str:
    """The assignment `key=value` that `--set` would take."""
    return f"{chosen.key}={int(value) if chosen.whole and not chosen.choices else value}"


def check_runner(name: str, address: str = "") -> None:
    """Raises: ConfigError naming the choices, the extra to install, or the cluster that does not answer."""
    if name not in RUNNERS:
        raise ConfigError(f"unknown runner {name!r}: expected {', '.join(RUNNERS)}")
    if address and name == "local":
        raise ConfigError(f"--address {address} is a cluster's: expected --runner dask or ray with it")
    if RUNNERS[name] and find_spec(RUNNERS[name]) is None:
        raise ConfigError(
            f"--runner {name} needs {RUNNERS[name].replace('_', '-')}; install modelyard[{name}]"
        )
    _check_answers(address)


def _check_answers(address: str) -> None:
    """An address without host and port, such as Ray's `auto`, is the engine's to understand."""
    try:
        place = urlsplit(address if "//" in address else f"//{address}")
        if place.hostname and place.port:
            socket.create_connection((place.hostname, place.port), timeout=CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"no cluster answers at --address {address}: {error}; expected one such as tcp://host:8786 or ray://host:10001"
        ) from None


def check(request: SweepRequest) -> None:
    """Try every bound of every range before anything starts. Raises: ConfigError naming key, choices or
    limits.
    """
    if not LEGAL.fullmatch(request.name):
        raise ConfigError(
            f"--name {request.name!r}: expected lower-case letters, digits and -_. after a letter or digit"
        )
    if request.trials and not request.ranges:
        raise ConfigError(
            "--trials counts what a search tries: expected a --range with it; a grid is counted by --seeds"
        )
    try_models(request.words, request.recipes())
    for chosen in request.ranges:
        for value in chosen.choices or (chosen.low, chosen.high):
            request.recipes([as_text(chosen, value)])


def claim_name(request: SweepRequest, home: Home) -> None:
    """Remember what this name means. Raises: ConfigError when it means another sweep."""
    file = home.sweeps / request.name / REQUEST_FILE
    told = request.model_dump(mode="json")
    if not file.exists():
        write_json(file, told)
        return
    known = SweepRequest.model_validate_json(file.read_bytes()).model_dump(mode="json")
    if changed := [key for key in told if told[key] != known[key]]:
        raise ConfigError(
            f"sweep {request.name!r} exists with another {', '.join(changed)}; choose another --name"
        )
