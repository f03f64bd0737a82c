"""Which model a run's data belong to: the same path gives the same name, another folder that is called alike
another one.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from modelyard.data.datasets import Dataset
from modelyard.files import full_path, make_folder, parse_json, read_regular, write_atomically
from modelyard.home import Home
from modelyard.progress import current_progress
from modelyard.releases.folders import champion_size
from modelyard.sources.containers import name_of
from modelyard.sources.imports import is_named
from modelyard.sources.names import LEGAL, LONGEST, check_name, safe_name
from modelyard.steps.freshness import champion_of

MOST_BYTES = 4_000_000
"""Of the record of sources; the oldest are forgotten first."""
Sources = dict[str, list[str]]
"""Absolute path of a folder, archive or table -> the models it belongs to: the one that it has unless told
otherwise first.
"""


def model_name(home: Home, dataset: str, loaded: Dataset, given: str = "", *, claim: bool = False) -> str:
    """The name of the model that is trained on these data; with `claim` the store remembers it.

    given: what `--name` says; it holds whatever else has that name. Raises: DataError where it may not be
    given.
    """
    if given:
        check_name(given)
    if is_named(dataset):
        return given or loaded.name
    source = full_path(dataset)
    with FileLock(make_folder(home.locks) / "sources.lock"):
        known = _read(home)
        name = given or _own_name(home, source, loaded, known)
        if claim and name not in known.get(str(source), []):
            _write(home, source, name, known)
    if name != (given or loaded.name):
        why = f"{loaded.name} is that of other data, or it was named so before"
        current_progress.get().say(
            f"NOTE: the model of {source} is {name} ({why}); --name NAME chooses another"
        )
    return name


def champions_size(home: Home, dataset: str, given: str = "") -> tuple[int, int] | None:
    """Height and width of the champion of these data's model, as far as can be told before they are read."""
    source, known = full_path(dataset), _read(home)
    name = given or next(iter(known.get(str(source), [])), "")
    if not name:
        name = safe_name(name_of(source))
        if any(name in names and _exists(path) for path, names in known.items()):
            return None  # another folder's
    return champion_size(home.releases, name)


def _own_name(home: Home, source: Path, loaded: Dataset, known: Sources) -> str:
    if names := known.get(str(source)):
        return names[0]
    moved = [names[0] for path, names in known.items() if names and _has_moved(path, source)]
    spelled = [*moved, *_spelled(source, loaded.name)]
    return next((name for name in spelled if _is_free(home, name, loaded, known)), spelled[-1])


def _spelled(source: Path, name: str) -> Iterator[str]:
    """`images`, `p2-images`, `home-p2-images` and so on; in the end one that no other path has."""
    yield name
    longer = name
    for parent in source.parents:
        longer = safe_name(f"{parent.name}-{longer}")
        if longer.endswith(name):  # else it was cut
            yield longer
    yield f"{name[: LONGEST - 7]}-{hashlib.sha256(os.fsencode(source)).hexdigest()[:6]}"


def _is_free(home: Home, name: str, loaded: Dataset, known: Sources) -> bool:
    """Whether no model has the name, or one of these data: their folder was moved, or the store is older than
    the record.
    """
    owners = [path for path, names in known.items() if name in names]
    if any(map(_exists, owners)):
        return False
    champion = champion_of(home, name)
    before, now = set(champion.classes if champion else ()), set(loaded.classes)
    return champion is None or (before == now if owners else not before.isdisjoint(now))


def _has_moved(path: str, source: Path) -> bool:
    return Path(path).name == source.name and not _exists(path)


def _exists(path: str) -> bool:
    return os.path.exists(path)  # noqa: PTH110 - pathlib raises where another's folder may not be looked into


def _read(home: Home) -> Sources:
    """Nothing where there is no record, or none that can be read: then it is as in a store from before there
    was one.
    """
    try:
        told = parse_json(read_regular(home.state / "sources.json", MOST_BYTES))
        return {path: [name for name in names if LEGAL.fullmatch(name)] for path, names in told.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _write(home: Home, source: Path, name: str, known: Sources) -> None:
    """A folder that was moved is entered anew. Raises: StoreError."""
    kept = {path: names for path, names in known.items() if name not in names or not _has_moved(path, source)}
    kept[str(source)] = [*kept.pop(str(source), []), name]
    while len(text := json.dumps(kept, indent=0).encode()) > MOST_BYTES:
        del kept[next(iter(kept))]
    write_atomically(home.state / "sources.json", text)
