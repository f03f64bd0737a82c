"""The first look of a run at its data: told on the run's page and in its log; unfit data end an unattended
run.
"""

from __future__ import annotations

import re
from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.logging import get_run_logger

from modelyard.alerts.record import alert, was_told
from modelyard.evaluation.board import table_rows
from modelyard.home import Home
from modelyard.progress import current_progress
from modelyard.steps.freshness import DataReport, examine, refuse_unfit
from modelyard.steps.requests import BuildRequest
from modelyard.terminal.printable import in_markdown


@task(task_run_name="look at {request.dataset}")
def look_at_data(request: BuildRequest) -> None:
    """For runs that somebody started: one line on what changed, and what a scheduled run would refuse."""
    found = _examine(request)
    if found.changed and found.reference:
        current_progress.get().say(f"NOTE: {found.summary}")
    for problem in found.problems:
        current_progress.get().say(f"NOTE: a scheduled run would refuse these data: {problem}")


@task(task_run_name="examine {request.dataset}")
def examine_data(request: BuildRequest) -> dict[str, Any]:
    """For runs that nobody watches: report, alert on drift, refusal of unfit data; gives
    `DataReport.as_json()`.

    Raises: DataRefused, of which the flow's hooks tell.
    """
    found = _examine(request)
    get_run_logger().info(found.summary)
    if found.changed:
        _show(found)
    if found.drifted:
        _tell_drift(found)
    refuse_unfit(found)
    return found.as_json()


def _examine(request: BuildRequest) -> DataReport:
    prepared = {
        "data_step": request.data_step,
        "data_digest": request.data_digest,
        "dataset": request.dataset,
    }
    return examine(Home.current(), prepared, request.recipe.validation)


def _show(found: DataReport) -> None:
    key = re.sub("[^a-z0-9]+", "-", f"data-{found.dataset}".lower()).strip("-")
    create_markdown_artifact(found.markdown(), key=key, description=in_markdown(found.summary))
    if found.tests:
        create_table_artifact(
            table_rows(found.test_rows()), key=f"{key}-tests", description=in_markdown(found.summary)
        )


def _tell_drift(found: DataReport) -> None:
    """Once for each content: a champion that stays would be told of it every night."""
    home = Home.current()
    if not was_told(home, "drift", {"digest": found.digest, "reference": found.reference}):
        tests = {
            test.what: f"{test.effect:.3f}, p {test.corrected:.3g} ({test.test}, Holm)"
            for test in found.drifted
        }
        alert(home, "drift", found.summary, {"digest": found.digest, "reference": found.reference} | tests)
