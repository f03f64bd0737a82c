"""Digests of what the store holds, and a record of what has arrived at a server.

The server is asked before anything is sent; the record only makes "nothing to do" quick and saves repeated
downloads.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.store.entities.paged_list import PagedList

from modelyard.files import sha256_of_json, write_json
from modelyard.home import Home
from modelyard.mirror.remote import Remote
from modelyard.tracking.store import open_store

DOUBT_SECONDS = 3600.0
"""For so long a request whose answer was lost may still be carried out."""


@dataclass(slots=True)
class Sent:
    """What is known of one run, or one registered model, at the server."""

    fingerprint: str = ""
    remote: str = ""
    """The run's id there."""
    files: dict[str, str] = field(default_factory=dict)
    """Artifact -> digest that was read back from there."""
    models: dict[str, str] = field(default_factory=dict)
    """Logged model here -> there."""
    aliases: dict[str, str] = field(default_factory=dict)
    """Alias -> local version that it was set to there."""
    doubt: float = 0.0
    """When an answer was lost last: what was asked for may be there twice."""

    def forget(self) -> None:
        """Trust nothing that was read back before."""
        self.files, self.aliases = {}, {}


@dataclass(frozen=True, slots=True)
class LocalRun:
    """A run of the store and a digest of all that may change of it."""

    run: Run
    models: tuple[str, ...]
    fingerprint: str

    @property
    def key(self) -> str:
        """Its name in the record: the run's id."""
        return str(self.run.info.run_id)

    @property
    def name(self) -> str:
        return str(self.run.info.run_name)


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A registered model of the store and a digest of all that may change of it."""

    name: str
    versions: list[ModelVersion]
    description: str
    aliases: dict[str, str]
    fingerprint: str

    @property
    def key(self) -> str:
        """Its name in the record; a model's own may hold what a file's cannot."""
        return f"model-{sha256_of_json(self.name)[:16]}"


class Record:
    """The folder of one server's `Sent` files, each replaced in one step."""

    def __init__(self, home: Home, remote: Remote) -> None:
        self._folder = remote.folder(home)

    def read(self, name: str) -> Sent:
        try:
            return Sent(**json.loads((self._folder / f"{name}.json").read_text()))
        except (OSError, ValueError, TypeError):
            return Sent()

    def write(self, name: str, sent: Sent) -> None:
        write_json(self._folder / f"{name}.json", asdict(sent))

    def is_waiting(self, key: str, fingerprint: str, verify: bool = False) -> bool:
        """Whether a thing has to be looked at: it changed, an answer was lost lately, or all is verified."""
        sent = self.read(key)
        return verify or time.time() - sent.doubt < DOUBT_SECONDS or sent.fingerprint != fingerprint

    def note(self, problem: str) -> None:
        """Why the last sync left something; empty when it did not."""
        write_json(self._folder / "last.json", {"time": time.time(), "problem": problem})

    @property
    def problem(self) -> str:
        try:
            return str(json.loads((self._folder / "last.json").read_text())["problem"])
        except (OSError, ValueError, KeyError):
            return ""


def local_runs(home: Home) -> list[LocalRun]:
    """Every run of the store, oldest first."""
    client, experiment = open_store(home)
    order = ["attributes.start_time ASC"]
    runs: list[Run] = _all_pages(partial(client.search_runs, [experiment], max_results=1000, order_by=order))
    return [_local_run(home, run) for run in runs]


def _local_run(home: Home, run: Run) -> LocalRun:
    models = tuple(
        dict.fromkeys(str(output.model_id) for output in (run.outputs.model_outputs if run.outputs else ()))
    )
    folders = [Path(run.info.artifact_uri), *(home.artifacts / "models" / model for model in models)]
    files = [
        [str(path), path.stat().st_size, path.stat().st_mtime_ns]
        for folder in folders
        for path in files_of(folder).values()
    ]
    return LocalRun(run, models, sha256_of_json([run.to_dictionary(), models, files]))


def files_of(folder: Path) -> dict[str, Path]:
    """Every file below `folder` by its path there."""
    return {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}


def local_models(home: Home) -> list[LocalModel]:
    """Every registered model, its versions oldest first."""
    client, _ = open_store(home)
    found = []
    for model in _all_pages(client.search_registered_models):
        search = partial(client.search_model_versions, f"name='{model.name}'")
        versions: list[ModelVersion] = sorted(_all_pages(search), key=lambda version: int(version.version))
        aliases = {
            alias: str(number) for alias, number in client.get_registered_model(model.name).aliases.items()
        }
        told = [
            model.description,
            [[v.version, v.description, dict(v.tags), v.run_id, v.source] for v in versions],
            aliases,
        ]
        found.append(
            LocalModel(str(model.name), versions, str(model.description or ""), aliases, sha256_of_json(told))
        )
    return found


def count_waiting(home: Home, remote: Remote) -> int:
    """Runs of which something has not arrived."""
    record = Record(home, remote)
    waiting = {
        local.key for local in local_runs(home) if record.read(local.key).fingerprint != local.fingerprint
    }
    for model in local_models(home):
        if record.read(model.key).fingerprint != model.fingerprint:
            waiting |= {str(version.run_id) for version in model.versions[-1:]}
    return len(waiting)


def in_words(waiting: int) -> str:
    """`1 run waits`, `2 runs wait`."""
    return "1 run waits" if waiting == 1 else f"{waiting} runs wait"


def _all_pages(search: Any) -> list[Any]:
    page: PagedList[Any] = search()
    found = list(page)
    while page.token:
        page = search(page_token=page.token)
        found += page
    return found
