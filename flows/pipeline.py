"""Flow `build`: train -> evaluate -> export -> register, for one architecture on prepared data."""

from __future__ import annotations

from typing import Any

from prefect import flow

from flows import tasks
from modelyard.home import Home
from modelyard.requests import BuildRequest
from modelyard.tracking import runs


@flow(flow_run_name="build {request.label}")
def build(request: BuildRequest) -> dict[str, Any]:
    """The run's id and registered version."""
    run_id = tasks.start_run(request)
    try:
        tasks.train(request, run_id)
        tasks.evaluate(request)
        tasks.export(request)
        version = tasks.register(request, run_id)
    except BaseException as error:
        runs.fail_run(Home.current(), run_id, str(error), killed=not isinstance(error, Exception))
        raise
    return {"run_id": run_id, "version": version}
