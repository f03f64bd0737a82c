"""One run brought to a server: found or made there, then whatever is missing there is sent.

Nothing is sent on trust in an earlier attempt: each part is compared with what the server has.
"""

from __future__ import annotations

from pathlib import Path

from mlflow.entities import (
    DatasetInput,
    LoggedModel,
    LoggedModelOutput,
    LoggedModelStatus,
    Param,
    Run,
    RunTag,
    ViewType,
)

from modelyard.mirror.metrics import ModelCopy, send_metrics
from modelyard.mirror.remote import Link, asking
from modelyard.mirror.sent import LocalRun, Sent, files_of
from modelyard.mirror.uploads import send_files

RUN_TAG, MODEL_TAG = "modelyard.local_run", "modelyard.local_model"
FIELDS_AT_ONCE = 100
"""Limit of MLflow's server."""
UNFINISHED = ("RUNNING", "SCHEDULED")


def send_run(ends: Link, local: LocalRun, sent: Sent) -> None:
    """Make the server's copy equal to this run, and say in `sent` what is known of it. Raises:
    RemoteError.
    """
    with asking(ends.remote):
        there = _run_there(ends, local.run, sent)
    if there is None:
        return
    sent.remote = str(there.info.run_id)
    with asking(ends.remote):
        _send_fields(ends, local.run, there)
    models = [_send_model(ends, model, there, sent) for model in local.models]
    send_metrics(ends, local.run, there, models)
    send_files(files_of(Path(local.run.info.artifact_uri)), there.info.artifact_uri, ends.remote, sent.files)
    with asking(ends.remote):
        _send_status(ends, local.run, there)


def _run_there(ends: Link, run: Run, sent: Sent) -> Run | None:
    """The one copy, made if there is none; None when somebody deleted it at the server."""
    name = f"{ends.store}/{run.info.run_id}"
    found = ends.client.search_runs([ends.experiment], f"tags.`{RUN_TAG}` = '{name}'", ViewType.ALL)
    active = sorted(
        (copy for copy in found if copy.info.lifecycle_stage == "active"),
        key=lambda copy: copy.info.run_id != sent.remote,
    )
    for double in active[1:]:  # a creation whose answer was lost, carried out after all
        ends.client.delete_run(double.info.run_id)
    if active or found:
        return active[0] if active else None
    return ends.client.create_run(ends.experiment, run.info.start_time, {RUN_TAG: name}, run.info.run_name)


def _send_fields(ends: Link, run: Run, there: Run) -> None:
    params = [Param(key, value) for key, value in run.data.params.items() if key not in there.data.params]
    tags = [RunTag(key, value) for key, value in run.data.tags.items() if there.data.tags.get(key) != value]
    run_id = there.info.run_id
    for start in range(0, max(len(params), len(tags)), FIELDS_AT_ONCE):
        some = slice(start, start + FIELDS_AT_ONCE)
        ends.client.log_batch(run_id, params=params[some], tags=tags[some])
    known = (
        {(i.dataset.name, i.dataset.digest) for i in there.inputs.dataset_inputs} if there.inputs else set()
    )
    missing: list[DatasetInput] = [
        i
        for i in (run.inputs.dataset_inputs if run.inputs else ())
        if (i.dataset.name, i.dataset.digest) not in known
    ]
    if missing:
        ends.client.log_inputs(run_id, missing)


def _send_model(ends: Link, model_id: str, there: Run, sent: Sent) -> ModelCopy:
    """A logged model with its files."""
    model = ends.local.get_logged_model(model_id)
    with asking(ends.remote):
        copy = _model_there(ends, model, there, sent)
    send_files(files_of(Path(model.artifact_location)), copy.artifact_location, ends.remote, sent.files)
    with asking(ends.remote):
        if copy.status != model.status and model.status == LoggedModelStatus.READY:
            ends.client.finalize_logged_model(copy.model_id, LoggedModelStatus.READY)
        outputs = there.outputs.model_outputs if there.outputs else ()
        if copy.model_id not in {output.model_id for output in outputs}:
            ends.client.log_outputs(there.info.run_id, [LoggedModelOutput(copy.model_id, 0)])
    sent.models[model_id] = copy.model_id
    return ModelCopy(model, copy)


def _model_there(ends: Link, model: LoggedModel, there: Run, sent: Sent) -> LoggedModel:
    name = f"{ends.store}/{model.model_id}"
    known = sent.models.get(model.model_id)
    found = ends.client.search_logged_models([ends.experiment], f"source_run_id = '{there.info.run_id}'")
    copies = sorted(
        (copy for copy in found if copy.tags.get(MODEL_TAG) == name), key=lambda copy: copy.model_id != known
    )
    for double in copies[1:]:
        ends.client.delete_logged_model(double.model_id)
    if copies:
        return copies[0]
    return ends.client.create_logged_model(
        ends.experiment,
        model.name,
        there.info.run_id,
        {**model.tags, MODEL_TAG: name},
        model.params,
        model.model_type,
    )


def _send_status(ends: Link, run: Run, there: Run) -> None:
    here = run.info
    if here.status in UNFINISHED:
        if there.info.status != here.status:
            ends.client.update_run(there.info.run_id, status=here.status)
    elif (there.info.status, there.info.end_time) != (here.status, here.end_time):
        ends.client.set_terminated(there.info.run_id, here.status, here.end_time)
