"""What of a store is needed: by releases that something points to, by runs that are not finished."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelyard.bundle import MANIFEST_BYTES, MANIFEST_FILE, Manifest
from modelyard.errors import StoreError
from modelyard.files import parse_json, read_regular
from modelyard.home import Home
from modelyard.machine.leases import EVERYTHING, names_in_use
from modelyard.registry.lineage import last_moves
from modelyard.registry.versions import Version, model_names, release_folder, versions
from modelyard.releases.ledger import read_ledger
from modelyard.releases.pointers import read_pointers
from modelyard.seals import STEP_FILE
from modelyard.tracking.runs import steps_of, unfinished_steps
from modelyard.training.fitted import RESULT_FILE
from modelyard.training.job import JOB_FILE

Release = tuple[str, int]
"""Model and version."""
SLICES = ("model", "training", "data", "seed", "step")


@dataclass(frozen=True, slots=True)
class Needs:
    """What stays whatever its age."""

    everything: bool
    """A process is at work that has not said yet on what."""
    steps: frozenset[str]
    releases: frozenset[Release]
    known: frozenset[Release]
    """All registered versions; a release of another is nobody's to remove."""


def find_needs(home: Home, moves: int) -> Needs:
    """What the aliases, the last `moves` moves of each ledger, unfinished runs and leases need.

    Raises: StoreError when the registry cannot be read: nobody can tell then.
    """
    used = names_in_use(home)
    if not home.database.exists():
        if any(home.releases.glob("*/*/")):
            raise StoreError(
                f"{home.database} is missing, so what the releases need cannot be told; put its copy back"
            )
        return Needs(EVERYTHING in used, frozenset(used), frozenset(), frozenset())
    known = [version for name in model_names(home) for version in versions(home, name)]
    pointed = {name: _pointed(home.releases_of(name), moves) for name in {version.name for version in known}}
    kept = [
        version
        for version in known
        if version.aliases or version.number in pointed[version.name] or version.tags.get("bundle") in used
    ]
    steps = used | unfinished_steps(home) | set(_steps_of(home, kept))
    return Needs(
        EVERYTHING in used, frozenset(steps),
        frozenset((version.name, version.number) for version in kept),
        frozenset((version.name, version.number) for version in known),
    )  # fmt: skip


def _pointed(folder: Path, moves: int) -> set[int]:
    """Versions that an alias file, an alias by the ledger or one of its last moves names."""
    known = read_ledger(folder).moves
    chosen = [*last_moves(known).values(), *(known[-moves:] if moves else [])]
    numbers = {number for move in chosen for number in (move.before, move.to) if number is not None}
    pointers = read_pointers(folder.parent, (folder.name,)).values()
    return numbers | {int(pointer.version) for pointer in pointers if not pointer.fault}


def _steps_of(home: Home, kept: Iterable[Version]) -> Iterator[str]:
    """The steps that these versions came from: as run and tags name them, and what those were made from."""
    results = [result for result in home.steps.glob(f"*/{RESULT_FILE}") if not _is_recorded(result.parent)]
    trained = {result.parent.name: _trained_by(result.parent) for result in results}
    for version in kept:
        data = home.data_step(version.tags.get("data_digest", "")).name
        named = {version.tags.get("bundle", ""), version.tags.get("evaluation", ""), data}
        of_run = steps_of(home, version.run_id)
        yield from named.union(of_run, *(_made_from(home.steps / name) for name in named if name))
        if not of_run:  # made before runs named their training: every one of the same recipe on the same data
            made = _recipe(home, release_folder(home, version))
            yield from (
                name for name, job in trained.items() if all(made.get(part) == job[part] for part in job)
            )


def _is_recorded(folder: Path) -> bool:
    return (folder / STEP_FILE).exists()


def _made_from(folder: Path) -> set[str]:
    """The names of the steps that a step's folder was made from, as its record tells."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return set(parse_json(read_regular(folder / STEP_FILE, MANIFEST_BYTES))["parents"])
    return set()


def _trained_by(folder: Path) -> dict[str, Any]:
    """The slices of the recipe that a training without a record had, as far as it tells."""
    told: dict[str, Any] = {}
    for name in (RESULT_FILE, JOB_FILE):
        with suppress(OSError, ValueError):
            told |= json.loads((folder / name).read_text())
    if "data_folder" in told:
        told["step"] = Path(told["data_folder"]).name
    return {part: told[part] for part in SLICES if part in told}


def _recipe(home: Home, release: Path) -> dict[str, Any]:
    try:
        told = Manifest.from_json(parse_json(read_regular(release / MANIFEST_FILE, MANIFEST_BYTES)))
        return told.recipe | {"step": home.data_step(told.data_digest).name}
    except (OSError, ValueError):
        return {}
