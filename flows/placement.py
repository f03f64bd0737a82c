"""A schedule's words, made to mean the same where its pool runs them."""

from __future__ import annotations

import json
import os
from pathlib import Path

from flows.guard import VARIABLES
from flows.schedule import NewSchedule
from modelyard.config import change
from modelyard.errors import ConfigError
from modelyard.files import full_path
from modelyard.home import Home
from modelyard.machine.store_mark import make_mark
from modelyard.models.own_modules import record
from modelyard.operations.work_pool import POOL
from modelyard.recipes.named import named
from modelyard.recipes.request import compare_request
from modelyard.sources.imports import is_named
from modelyard.sources.sources import load_dataset
from modelyard.terminal.echo import echo

PATHS = frozenset(("init", "data.unlabelled", "distil.teacher"))
"""Keys of a recipe whose values may be paths."""


def placed(new: NewSchedule, *, own_server: bool) -> NewSchedule:
    """Checked for the worker of this machine; or, for any other pool, with nothing of this machine in it.

    Raises: ConfigError, DataError, DeviceError.
    """
    home, dataset = Home.current(), new.request.dataset
    if own_server:
        new = change(new, store=make_mark(home))
    if new.pool != POOL or not own_server:
        return _elsewhere(new)
    if not is_named(dataset) and Path(dataset).exists():
        dataset = str(Path(dataset).resolve())  # a worker has another working directory
    architectures = tuple(map(from_anywhere, new.request.architectures))
    assignments = tuple(map(_assigned_from_anywhere, new.request.assignments))
    request = change(new.request, dataset=dataset, architectures=architectures, assignments=assignments)
    wanted = compare_request(request)
    data = next(iter(wanted.recipes.values())).data
    load_dataset(dataset, data.folder_options(skip_unreadable=request.skip_unreadable))
    record(home, wanted.own_modules())
    told = {name: value for name in VARIABLES if (value := os.environ.get(name))} | {
        "MODELYARD_HOME": str(home.root)
    }
    environment = {name: str(Path(value).expanduser().resolve()) for name, value in told.items()}
    return change(new, request=request, environment=environment)


def _elsewhere(new: NewSchedule) -> NewSchedule:
    request = new.request
    files = [file for name in request.architectures if (file := _file(name))]
    files += [path for told in map(_brought, request.assignments) for path in told if not _is_name(path)]
    if not files:  # what such a file is can be said only where it is
        named(request)
    needed = [request.dataset, *files]
    for path in needed[_is_name(request.dataset) :]:
        if not Path(path).is_absolute():
            raise ConfigError(
                f"{path} is looked for where the pool {new.pool} runs, which is not this machine: "
                "expected a name that"
                " `modelyard data list` shows there, or the absolute path that it has there"
            )
    store = "a store" if new.store is None else "the folder of this store"
    echo(
        f"the pool {new.pool} runs elsewhere: its machines need {', '.join(needed)} and "
        f"{store} (MODELYARD_HOME)"
    )
    return new


def _is_name(word: str) -> bool:
    """Of data, or of a version."""
    return is_named(word) or ("/" not in word and not Path(word).exists())


def _is_found(word: str) -> bool:
    return not is_named(word) and full_path(word).exists()


def _brought(assignment: str) -> list[str]:
    """What a `key=value` names that may lie somewhere; empty where the key is another one."""
    key, _, text = assignment.partition("=")
    if key.strip() not in PATHS:
        return []
    try:
        value = json.loads(text)
    except ValueError:  # plain text
        value = text.strip()
    return [str(word) for word in (value if isinstance(value, list) else [value]) if word is not None]


def _assigned_from_anywhere(assignment: str) -> str:
    """The same for a worker, which has another working directory."""
    words = [str(full_path(word)) if _is_found(word) else word for word in _brought(assignment)]
    told = words[0] if len(words) == 1 else words
    return f"{assignment.partition('=')[0].strip()}={json.dumps(told)}" if words else assignment


def from_anywhere(architecture: str) -> str:
    """The same for a worker, which has another working directory."""
    return (
        f"{full_path(file)}:{architecture.rpartition(':')[2]}"
        if (file := _file(architecture))
        else architecture
    )


def _file(architecture: str) -> str:
    """Of an own module; empty for others."""
    file = architecture.rpartition(":")[0]
    return file if file.endswith(".py") else ""
