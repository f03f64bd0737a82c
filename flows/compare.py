"""Flow `compare`: `build` for each architecture, then the board and the promotion."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.runtime import flow_run

from flows import tasks
from flows.freshness import look_at_data
from flows.hooks import tell_crash, tell_failure, tell_refusal
from flows.pipeline import build
from modelyard.bundle import open_bundle
from modelyard.evaluation.board import board_markdown, board_row, table_rows
from modelyard.home import Home
from modelyard.machine.leases import in_use
from modelyard.promotion.judging import verdict_table
from modelyard.recipes.request import CompareRequest
from modelyard.steps.advice import advice_of
from modelyard.steps.nodes import export_node, nodes, train_node
from modelyard.steps.preparation import build_requests
from modelyard.steps.requests import BuildRequest
from modelyard.steps.run import waiting
from modelyard.steps.train import trainings_to_come
from modelyard.terminal.printable import in_markdown
from modelyard.tracking import runs


@flow(flow_run_name="compare on {request.dataset}", on_failure=[tell_failure], on_crashed=[tell_crash])
def compare(request: CompareRequest) -> dict[str, Any]:
    """Board rows by architecture, and the promotion's verdict."""
    with in_use(Home.current()) as lease:
        builds = prepared_builds(request)
        lease.narrow(node.name for build_request in builds for node in nodes(build_request))
        return _compare(builds)


def _compare(builds: list[BuildRequest]) -> dict[str, Any]:
    look_at_data(builds[0])
    for build_request in builds:
        tasks.check_model(build_request)
    with trainings_to_come(sum(map(_trains, builds)), Home.current()):
        built = [build(build_request) for build_request in builds]
    rows = [_row(*pair) for pair in zip(builds, built, strict=True)]
    verdict = tasks.promote(builds[0], [result["version"] for result in built])
    tell_refusal(builds[0].dataset, verdict)
    create_table_artifact(table_rows(rows), key="board", description=in_markdown(verdict.why))
    advice = advice_of(builds, Home.current())
    gates = verdict_table(verdict.judgements)
    create_table_artifact(
        table_rows(gates), key="gates", description=f"Gates of promotion: {in_markdown(verdict.why)}"
    )
    runs.group_run(
        Home.current(),
        [result["run_id"] for result in built],
        flow_run.id or "",
        "\n\n".join(filter(None, (board_markdown(rows), in_markdown(advice)))),
    )
    return {
        "dataset": builds[0].dataset, "board": rows, "promoted": verdict.promoted, "why": verdict.why,
        "gates": [judgement.record() for judgement in verdict.judgements], "advice": advice,
    }  # fmt: skip


def _trains(request: BuildRequest) -> bool:
    """Whether a process of its own will train."""
    return not request.in_process and train_node(request) in waiting(nodes(request), Home.current())


def prepared_builds(request: CompareRequest) -> list[BuildRequest]:
    """One request for each architecture, on verified and packed data."""
    first = next(iter(request.recipes.values()))
    prepared = tasks.prepare(request.dataset, first, request.skip_unreadable, request.name)
    return build_requests(request, prepared, Home.current())


def _row(request: BuildRequest, result: dict[str, Any]) -> dict[str, Any]:
    return board_row(
        request.label, result["version"], open_bundle(export_node(request).folder(Home.current()))
    )
