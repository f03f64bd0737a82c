"""What a flow run that ends badly tells. A hook never raises: Prefect would say so in the run's log and
nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect import Flow, State
from prefect.client.schemas.objects import FlowRun

from modelyard.alerts.record import Kind, alert, was_told
from modelyard.errors import AnotherStoreError, DataRefused
from modelyard.home import Home

if TYPE_CHECKING:
    from modelyard.promotion.automatic import Verdict

LONGEST = 300
"""Characters of an error in an alert's title; its facts have all of it."""


def tell_failure(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """For `on_failure`."""
    _tell(flow, flow_run, state, "failure")


def tell_crash(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """For `on_crashed`: stopped from outside. After a kill -9 nobody is left to tell."""
    _tell(flow, flow_run, state, "crash")


def tell_refusal(dataset: str, verdict: Verdict) -> None:
    """A candidate that was better and failed a gate, or met no test with the champion; the same refusal is
    told once.
    """
    kept_back = [
        judgement for judgement in verdict.judgements if judgement.refusals or judgement.not_compared
    ]
    versions = [f"{dataset}@{judgement.version.number}" for judgement in kept_back]
    facts = {"candidates": versions, "champion": verdict.evidence.get("champion_version"), "why": verdict.why}
    if verdict.refused and not was_told(Home.current(), "refused", facts):
        alert(Home.current(), "refused", f"promotion on {dataset} refused: {verdict.why}", facts)


def _tell(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any], kind: Kind) -> None:
    if flow_run.parent_task_run_id is not None:  # the flow that called it tells, once
        return
    error = _error(state)
    if (
        isinstance(error, AnotherStoreError) and not Home.current().root.exists()
    ):  # nowhere to record it; the run says why
        return
    headline = str(error) if isinstance(error, Exception) else state.message or state.name or "ended badly"
    kind = "data-refused" if isinstance(error, DataRefused) else kind
    facts = {
        "flow": flow.name,
        "run": flow_run.name,
        "run id": str(flow_run.id),
        "why": state.message,
        "store": str(Home.current().root),
    }
    alert(Home.current(), kind, f"{flow_run.name}: {headline.strip()[:LONGEST]}", facts)


def _error(state: State[Any]) -> object:
    try:
        return state.result(raise_on_failure=False)
    except Exception:  # the state's data could not be read; its message is told
        return None
