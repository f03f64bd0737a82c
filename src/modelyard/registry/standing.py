"""Where MLflow differs from ledger and releases, because somebody deleted, renamed, moved or edited
something there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities import LifecycleStage, ViewType
from mlflow.entities.model_registry import RegisteredModel
from mlflow.tracking import MlflowClient

from modelyard.bundle import MODEL_FILE
from modelyard.errors import StoreError
from modelyard.files import is_plain_name
from modelyard.home import Home
from modelyard.progress import current_progress
from modelyard.registry.lineage import last_moves, serving_version
from modelyard.registry.versions import registered
from modelyard.registry.vouching import all_models, renamed
from modelyard.releases.ledger import Ledger, read_ledger
from modelyard.tracking.store import EXPERIMENT, open_store


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One difference between MLflow and the ledger."""

    model: str
    """Empty for the experiment, which belongs to none."""
    kind: str
    """`experiment`, `model`, `version`, `file` (of a version), `run`, `tags` (of a version), `alias` or
    `served`.
    """
    subject: str
    """Which of its kind."""
    mlflow: str
    ledger: str
    remedy: str
    """A command."""
    version: int | None = None
    """Beside which version it is shown."""

    def __str__(self) -> str:
        what = self.kind if self.subject == self.model else f"{self.kind} {self.subject}"
        return f"{self.model or 'store'}: {what}: {self.mlflow} in MLflow, {self.ledger}; {self.remedy}"


def discrepancies(home: Home, model: str = "") -> list[Discrepancy]:
    """All of the store, or those of one model and of the experiment. Raises: StoreError, for an unknown model
    too.
    """
    client, experiment = open_store(home)
    models = all_models(client)
    names = {*models, *(path.name for path in home.releases.glob("*") if path.is_dir())}
    if model and model not in names:
        raise StoreError(
            f"no model {model!r} is known: expected one of {', '.join(sorted(names)) or '(none)'}"
        )
    ours = client.get_experiment(experiment) if experiment else None
    state = (
        "deleted" if ours is None or ours.lifecycle_stage == LifecycleStage.DELETED else f"named {ours.name}"
    )
    found: list[Discrepancy] = []
    if state != f"named {EXPERIMENT}":
        found = [
            Discrepancy(
                "",
                "experiment",
                EXPERIMENT,
                state,
                "its runs are those of the versions",
                "modelyard models repair",
            )
        ]
    deleted: set[str] = set()
    if state != "deleted":
        page = client.search_runs([experiment], run_view_type=ViewType.DELETED_ONLY, max_results=50_000)
        deleted = {run.info.run_id for run in page}
    moved = renamed(models, home.releases)
    for name in [model] if model else sorted(filter(is_plain_name, names)):
        if name in models and name not in moved:
            found += _of_model(client, home.releases / name, models[name], deleted)
        else:
            found += _of_missing(
                home.releases / name, next((now for now, former in moved.items() if former == name), "")
            )
    return found


def report_discrepancies(home: Home, model: str) -> None:
    """Print each difference as a line."""
    for found in discrepancies(home, model):
        current_progress.get().say(f"NOTE: {found}")


def _of_missing(folder: Path, now: str) -> Iterator[Discrepancy]:
    """Of a model that MLflow has not, or by another name now."""
    ledger, name = read_ledger(folder), folder.name
    if ledger.registered.keys() - ledger.gone or any(move.to for move in last_moves(ledger.moves).values()):
        anew = "" if now else "modelyard run on its data registers it anew, or "
        told = (
            f"named {now}" if now else "deleted",
            "has releases and a ledger",
            f"{anew}modelyard models repair {name}",
        )
        yield Discrepancy(name, "model", name, *told)


def _of_model(
    client: MlflowClient, folder: Path, model: RegisteredModel, deleted: set[str]
) -> Iterator[Discrepancy]:
    ledger, name, remedy = read_ledger(folder), folder.name, f"modelyard models repair {folder.name}"
    ours = last_moves(ledger.moves)
    living = {number: files for number, files in ledger.registered.items() if number not in ledger.gone}
    known = {version.number: version for version in registered(client, folder, model)}
    absent = {
        number
        for number, files in living.items()
        if number not in known or known[number].digest != files[MODEL_FILE]
    }
    for number, files in living.items():
        names = ", ".join(alias for alias, move in ours.items() if move.to == number) or "no alias"
        if (version := known.get(number)) is None:
            yield Discrepancy(
                name, "version", str(number), "deleted", f"registered in the ledger ({names})", remedy
            )
            continue
        if number in absent:
            told = f"sha256 {files[MODEL_FILE][:12]} in the ledger ({names})"
            yield Discrepancy(
                name, "file", f"of version {number}", version.digest[:12] or "unknown", told, remedy, number
            )
            continue
        if version.run_id in deleted:
            yield Discrepancy(
                name, "run", version.run_id, "deleted", f"version {number} came of it", remedy, number
            )
        if version.edited:
            told = f"no or another {', '.join(version.edited)}"
            yield Discrepancy(
                name, "tags", f"of version {number}", told, "its release tells them", remedy, number
            )
    if ledger.lines:
        yield from _of_aliases(
            folder, ledger, {alias: int(number) for alias, number in model.aliases.items()}, absent
        )


def _of_aliases(
    folder: Path, ledger: Ledger, theirs: dict[str, int], absent: set[int]
) -> Iterator[Discrepancy]:
    ours, name = last_moves(ledger.moves), folder.name
    for alias in sorted({*theirs, *ours}):
        there, here = theirs.get(alias), ours[alias].to if alias in ours else None
        if here in absent and there in {None, here}:
            continue  # told with its version
        if here != there:
            remedy = (
                f"modelyard models repair {name} gives it what the ledger says, with --adopt the "
                "ledger what MLflow says"
            )
            told = (
                f"version {there}" if there else "none",
                f"{f'version {here}' if here else 'none'} in the ledger",
            )
            yield Discrepancy(name, "alias", alias, *told, remedy, there or here)
        elif here is None and alias in ours and (served := serving_version(folder, ours[alias])):
            remedy = (
                f"modelyard run on its data, or modelyard models promote {name}@VERSION, or withdraw "
                f"{name}@{alias}"
            )
            yield Discrepancy(
                name, "served", alias, "none", f"version {served} is served on from its release", remedy
            )
