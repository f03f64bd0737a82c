"""One flat MLflow run for each (recipe, data, seed); an interrupted one is taken up again."""

from __future__ import annotations

import getpass
import json
import logging
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunStatus, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from modelyard.errors import StoreError
from modelyard.home import Home
from modelyard.machine.identity import is_gone, own_identity
from modelyard.progress import EpochReport
from modelyard.terminal.printable import in_markdown
from modelyard.tracking.store import open_for_writing, open_store

logger = logging.getLogger(__name__)
KEY_TAG, GROUP_TAG, PROCESS_TAG = "modelyard.key", "pipeline_run", "modelyard.process"
STEPS_TAG, TRAINING_TAG = "modelyard.steps", "modelyard.training"
"""The folders below `steps/` that a run reads or makes; of runs made before that tag, its training alone."""
NOTE_TAG = "mlflow.note.content"
"""What MLflow's page shows as the run's description; it renders Markdown."""
RunFields = dict[str, Any]


def start_run(home: Home, key: str, *, name: str, params: RunFields, tags: dict[str, str]) -> str:
    """The id of this key's run: an unfinished or finished earlier one, else a new one."""
    open_store(home)
    with FileLock(home.locks / "runs.lock"):  # two equal commands at once share one run
        client, experiment = open_for_writing(home)
        found = client.search_runs([experiment], f"tags.`{KEY_TAG}` = '{key}'", max_results=1)
        if found:
            run_id: str = found[0].info.run_id
            if found[0].info.status != "FINISHED":
                client.set_tag(
                    run_id, PROCESS_TAG, _with_this_process(home, found[0].data.tags.get(PROCESS_TAG, ""))
                )
                client.update_run(run_id, status="RUNNING")
                _describe(client, found[0], params, tags)
            return run_id
        run = client.create_run(
            experiment, tags=tags | {KEY_TAG: key, PROCESS_TAG: own_identity(home)}, run_name=name
        )
        _describe(client, run, params, tags)
        return str(run.info.run_id)


def _describe(client: MlflowClient, run: Run, params: RunFields, tags: dict[str, str]) -> None:
    """Parameters and data of a run, unless it has them: a kill after the run was made may have
    left them out.
    """
    flat = [
        Param(name, str(value))
        for name, value in params.items()
        if value is not None and name not in run.data.params
    ]
    if flat:
        client.log_batch(run.info.run_id, params=flat)
    if run.inputs is None or not run.inputs.dataset_inputs:
        _log_dataset(client, run.info.run_id, tags)


def _with_this_process(home: Home, names: str) -> str:
    """The identities of all that work on a run: equal commands at once share it."""
    living = [name for name in names.split() if not is_gone(name, home)]
    return " ".join(dict.fromkeys([*living, own_identity(home)]))


def source_tags() -> dict[str, str]:
    """Who started the run and from which commit, under MLflow's own names."""
    tags = {
        "mlflow.user": getpass.getuser(),
        "mlflow.source.name": "modelyard run",
        "mlflow.source.type": "LOCAL",
    }
    git = shutil.which("git")
    if git is None:
        return tags
    head = subprocess.run(
        [git, "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return tags | ({"mlflow.source.git.commit": head.stdout.strip()} if head.returncode == 0 else {})


def _log_dataset(client: MlflowClient, run_id: str, tags: dict[str, str]) -> None:
    dataset = Dataset(
        tags["modelyard.dataset"],
        tags["modelyard.data_digest"][:16],
        "local",
        json.dumps(tags["modelyard.dataset"]),
    )
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])


CURVES = {
    "train": {
        "train/loss": "train_loss", "validation/loss": "validation_loss",
        "validation/calibrated_loss": "calibrated_loss", "validation/epoch_accuracy": "validation_accuracy",
        "train/learning_rate": "learning_rate", "train/epoch_seconds": "seconds",
    },
    "pretrain": {
        "pretrain/loss": "train_loss", "pretrain/validation_loss": "validation_loss",
        "pretrain/probe_accuracy": "validation_accuracy", "pretrain/learning_rate": "learning_rate",
        "pretrain/epoch_seconds": "seconds",
    },
}  # fmt: skip
"""By name of the step: curve -> field of `EpochReport`; the first of them tells which epochs are there."""


def log_epochs(home: Home, run_id: str, reports: Sequence[EpochReport], step: str = "train") -> None:
    """The curves of these epochs of a step in one call; an epoch that the run has already is left alone.

    A kill between a checkpoint and its record, or a run made anew for a training that was done before, leaves
    epochs out: the whole history is given once more at the end of a training.
    """
    client, _ = open_for_writing(home, run_id)
    known = {metric.step for metric in client.get_metric_history(run_id, next(iter(CURVES[step])))}
    points = [point for report in reports if report.epoch not in known for point in _points(report, step)]
    if points:
        client.log_batch(run_id, points)


def _points(report: EpochReport, step: str) -> list[Metric]:
    values = {name: getattr(report, field) for name, field in CURVES[step].items()} | report.more
    now = int(time.time() * 1000)
    return [Metric(name, value, now, report.epoch) for name, value in values.items()]


def is_finished(home: Home, run_id: str) -> bool:
    """Whether the run has all it should tell."""
    client, _ = open_store(home)
    return bool(client.get_run(run_id).info.status == "FINISHED")


def finish_run(
    home: Home, run_id: str, metrics: dict[str, float], report: Path, model_id: str | None = None
) -> None:
    """Final metrics, bound to the data set and the model that it logged, and the evaluation's report, where
    it is there (a whole bundle asks for no evaluation); the run is FINISHED.
    """
    client, _ = open_for_writing(home, run_id)
    tags = client.get_run(run_id).data.tags
    now = int(time.time() * 1000)
    name, digest = tags["modelyard.dataset"], tags["modelyard.data_digest"][:16]
    bound = [
        Metric(key, value, now, 0, model_id=model_id, run_id=run_id, dataset_name=name, dataset_digest=digest)
        for key, value in metrics.items()
    ]
    client.log_batch(run_id, bound)
    for part in sorted((*report.glob("*.png"), *report.glob("per_class.csv"))):
        client.log_artifact(run_id, str(part), "report")
    client.set_terminated(run_id, "FINISHED")


def finish_trial(home: Home, run_id: str, metrics: dict[str, float], *, pruned: str = "") -> None:
    """Final metrics of a training without a model to register; one that was given up is KILLED
    and says why.
    """
    client, _ = open_for_writing(home, run_id)
    now = int(time.time() * 1000)
    client.log_batch(run_id, [Metric(name, value, now, 0) for name, value in metrics.items()])
    if pruned:
        client.set_tag(run_id, NOTE_TAG, in_markdown(pruned))
    client.set_terminated(run_id, "KILLED" if pruned else "FINISHED")


def record_folder(home: Home, run_id: str, folder: Path, note: str) -> None:
    """The files of a finished sweep as the run's artifacts, its table as the description."""
    client, _ = open_for_writing(home, run_id)
    for part in sorted(path for path in folder.iterdir() if path.suffix in {".json", ".png"}):
        client.log_artifact(run_id, str(part), "sweep")
    client.set_tag(run_id, NOTE_TAG, note)
    client.set_terminated(run_id, "FINISHED")


def fail_run(home: Home, run_id: str, reason: str, *, killed: bool = False) -> None:
    """Mark the run FAILED (or KILLED by the user) with the reason as its note; never hides that reason."""
    status = RunStatus.to_string(RunStatus.KILLED if killed else RunStatus.FAILED)
    try:
        client, _ = open_store(home)
        client.set_tag(run_id, NOTE_TAG, in_markdown(reason))
        client.set_terminated(run_id, status)
    except (MlflowException, StoreError):
        logger.exception("run %s could not be marked %s", run_id, status)


def group_run(home: Home, run_ids: list[str], pipeline: str, board: str) -> None:
    """Tag the runs of one `compare`; each shows the whole board (Markdown) as its description."""
    for run_id in run_ids:
        client, _ = open_for_writing(home, run_id)
        client.log_batch(run_id, tags=[RunTag(GROUP_TAG, pipeline), RunTag(NOTE_TAG, board)])


def newest_group(home: Home) -> list[str]:
    """The runs of the last `compare`; empty before the first."""
    client, experiment = open_store(home)
    newest = client.search_runs([experiment], order_by=["attributes.start_time DESC"], max_results=50)
    groups = [run.data.tags[GROUP_TAG] for run in newest if GROUP_TAG in run.data.tags]
    return [run.info.run_id for run in newest if groups and run.data.tags.get(GROUP_TAG) == groups[0]]


def steps_of(home: Home, run_id: str) -> set[str]:
    """The steps that a run names; empty for a run that is gone or from before they did."""
    client, _ = open_store(home)
    try:
        return _named_steps(client.get_run(run_id))
    except MlflowException:
        return set()


def _named_steps(run: Run) -> set[str]:
    tags: dict[str, str] = run.data.tags
    return set(tags.get(STEPS_TAG, tags.get(TRAINING_TAG, "")).split())


def unfinished_steps(home: Home) -> set[str]:
    """The steps that runs which are Running work on, or did when they were killed."""
    client, experiment = open_store(home)
    steps: set[str] = set()
    token = ""
    while token is not None:
        page = client.search_runs(
            [experiment], "attributes.status = 'RUNNING'", max_results=1000, page_token=token or None
        )
        steps |= {name for run in page for name in _named_steps(run)}
        token = page.token
    return steps
