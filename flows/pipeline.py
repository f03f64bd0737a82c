"""Flow `build`: train -> evaluate -> export -> register, for one architecture on prepared data."""

from __future__ import annotations

import re
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from flows import tasks
from flows.hooks import tell_crash, tell_failure
from modelyard.bundle import open_bundle
from modelyard.evaluation.board import as_markdown, card_facts
from modelyard.home import Home
from modelyard.machine.leases import in_use
from modelyard.steps.nodes import export_node, nodes
from modelyard.steps.requests import BuildRequest
from modelyard.terminal.printable import in_markdown
from modelyard.tracking import runs


@flow(flow_run_name="build {request.label}", on_failure=[tell_failure], on_crashed=[tell_crash])
def build(request: BuildRequest) -> dict[str, Any]:
    """The run's id and registered version."""
    with in_use(Home.current(), [node.name for node in nodes(request)]):
        run_id = tasks.start_run(request)
        try:
            for node in nodes(request):
                if node.step.body:
                    tasks.run_step(node, request, run_id)
            version = tasks.register(request, run_id)
            _show_card(request, version)
        except BaseException as error:
            runs.fail_run(Home.current(), run_id, str(error), killed=not isinstance(error, Exception))
            raise
    return {"run_id": run_id, "version": version}


def _show_card(request: BuildRequest, version: int) -> None:
    """The model's card on the flow run's page; one key for each architecture makes a timeline."""
    facts = card_facts(open_bundle(export_node(request).folder(Home.current())))
    key = re.sub("[^a-z0-9]+", "-", f"card-{request.dataset}-{request.label}".lower())
    title = in_markdown(f"{request.dataset}, version {version}: {request.label}")
    create_markdown_artifact(f"# {title}\n\n{as_markdown(facts)}", key=key)
