"""What MLflow says otherwise than ledger and releases, because somebody deleted, renamed, moved or edited it there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlflow.entities import LifecycleStage, ViewType
from mlflow.tracking import MlflowClient

from modelyard.bundle import MODEL_FILE
from modelyard.files import is_plain_name
from modelyard.home import Home
from modelyard.ledger import LEDGER_FILE, Ledger, read_ledger
from modelyard.progress import current_progress
from modelyard.tracking.lineage import pointers
from modelyard.tracking.naming import is_missing, new_name
from modelyard.tracking.owed import answering
from modelyard.tracking.registry import Version, model_names, registered
from modelyard.tracking.store import EXPERIMENT, open_store


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One thing that MLflow says otherwise than the ledger."""

    model: str
    """Empty for what belongs to none."""
    kind: str
    """`experiment`, `model`, `version`, `file`, `run`, `tags` or `alias`."""
    subject: str
    """Which of its kind."""
    mlflow: str
    ledger: str
    remedy: str
    """A command."""
    version: int | None = None
    """Beside which version it is to be shown."""

    def __str__(self) -> str:
        what = self.kind if self.subject == self.model else f"{self.kind} {self.subject}"
        return f"{self.model or 'store'}: {what}: {self.mlflow} in MLflow, {self.ledger}; {self.remedy}"

    def as_row(self) -> dict[str, Any]:
        return asdict(self)


def discrepancies(home: Home, model: str = "") -> list[Discrepancy]:
    """All of the store, or those of one model and of what belongs to none. Raises: StoreError."""
    client, experiment = open_store(home)
    names = {model} if model else {*model_names(home), *(path.parent.name for path in home.releases.glob(f"*/{LEDGER_FILE}"))}
    found = list(_of_experiment(client, experiment))
    deleted = [] if found else client.search_runs([experiment], run_view_type=ViewType.DELETED_ONLY)
    gone = {run.info.run_id for run in deleted}
    for name in sorted(filter(is_plain_name, names)):
        found += _of_model(client, home.releases / name, gone)
    return found


def tell_discrepancies(home: Home, model: str) -> None:
    """A line each, to whoever watches."""
    for found in discrepancies(home, model):
        current_progress.get().say(f"NOTE: {found}")


def _of_experiment(client: MlflowClient, experiment: str) -> Iterator[Discrepancy]:
    if client.get_experiment(experiment).lifecycle_stage == LifecycleStage.DELETED:
        yield Discrepancy(
            "", "experiment", EXPERIMENT, "deleted", "its runs are those of the versions", "modelyard models repair"
        )


def _of_model(client: MlflowClient, folder: Path, gone: set[str]) -> Iterator[Discrepancy]:
    ledger, name = read_ledger(folder), folder.name
    if is_missing(client, name):
        yield from _missing(client, folder, ledger)
        return
    if not ledger.lines:
        return
    remedy = f"modelyard models repair {name}"
    known = {version.number: version for version in registered(client, folder)}
    absent: set[int] = set()
    for number, files in ledger.registered.items():
        if number in ledger.gone:
            continue
        if (version := known.get(number)) is None:
            yield Discrepancy(name, "version", str(number), "deleted", "registered and released in the ledger", remedy)
            absent.add(number)
        elif version.digest != files[MODEL_FILE]:
            yield Discrepancy(
                name, "file", str(number), "another file", f"sha256 {files[MODEL_FILE][:12]} in the ledger", remedy, number
            )
            absent.add(number)
        else:
            yield from _of_version(version, gone, remedy)
    yield from _of_aliases(folder, ledger, client.get_registered_model(name).aliases, absent)


def _missing(client: MlflowClient, folder: Path, ledger: Ledger) -> Iterator[Discrepancy]:
    """Of a model whose name MLflow does not know; nothing where all of it ended."""
    name = folder.name
    if not (set(ledger.registered) - ledger.gone or any(entry["to"] for entry in pointers(ledger.moves).values())):
        return
    other = new_name(client, folder)
    told = f"named {other}" if other else "deleted"
    anew = "" if other else "modelyard run on its data registers it anew, or "
    yield Discrepancy(name, "model", name, told, "has releases and a ledger", f"{anew}modelyard models repair {name}")


def _of_version(version: Version, gone: set[str], remedy: str) -> Iterator[Discrepancy]:
    name, number = version.name, version.number
    if version.run_id in gone:
        yield Discrepancy(name, "run", version.run_id, "deleted", f"version {number} came of it", remedy, number)
    if version.edited:
        told = f"without or with another {', '.join(version.edited)}"
        yield Discrepancy(name, "tags", f"of version {number}", told, "its release tells them", remedy, number)


def _of_aliases(folder: Path, ledger: Ledger, theirs: dict[str, str], absent: set[int]) -> Iterator[Discrepancy]:
    ours, name = pointers(ledger.moves), folder.name
    for alias in sorted({*theirs, *ours}):
        there = int(theirs[alias]) if alias in theirs else None
        here = ours[alias]["to"] if alias in ours else None
        served = answering(folder, ours[alias]) if alias in ours else None
        if here in absent and there in {None, here}:
            continue  # told of its version
        if here != there:
            remedy = f"modelyard models repair {name} puts it back, with --adopt it is taken over"
            yield Discrepancy(name, "alias", alias, _version(there), f"{_version(here)} in the ledger", remedy, there or here)
        elif served != here:
            remedy = f"modelyard run on its data, or modelyard models promote {name}@VERSION, or withdraw {name}@{alias}"
            yield Discrepancy(name, "alias", alias, "none", f"version {served} is served on from its release", remedy)


def _version(number: int | None) -> str:
    return "none" if number is None else f"version {number}"
