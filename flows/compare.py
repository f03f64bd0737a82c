"""Flow `compare`: `build` for each architecture, then the board and the promotion."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.runtime import flow_run

from flows import tasks
from flows.pipeline import build
from modelyard.board import board_row
from modelyard.bundle import open_bundle
from modelyard.home import Home
from modelyard.recipes import Recipe
from modelyard.steps import BuildRequest
from modelyard.tracking import runs


@flow(flow_run_name="compare on {dataset}", validate_parameters=False)
def compare(
    dataset: str, recipes: dict[str, Recipe], seed: int, device: str, in_process: bool, skip_unreadable: bool, on_epoch: Any
) -> dict[str, Any]:
    """Board rows by architecture, and the promotion's verdict."""
    prepared = tasks.prepare(dataset, skip_unreadable)
    rows, built = [], []
    for label, recipe in recipes.items():
        request = BuildRequest(recipe=recipe, label=label, seed=seed, device=device, in_process=in_process, **prepared)
        result = build(request, on_epoch)
        built.append(result)
        manifest = open_bundle(request.bundle_folder(Home.current()))
        rows.append(board_row(label, result["version"], manifest.metrics))
    verdict = tasks.promote(prepared["dataset"], [result["version"] for result in built])
    create_table_artifact(rows, key="board", description=verdict.why)
    runs.group_run(Home.current(), [result["run_id"] for result in built], flow_run.id or "", rows)
    return {"dataset": prepared["dataset"], "board": rows, "promoted": verdict.promoted, "why": verdict.why}
