"""The flow `compare` as the command line and the Python interface run it: with its server, its log file and its progress."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from modelyard.home import Home

if TYPE_CHECKING:
    from modelyard.requests import CompareRequest


def run_compare(make_request: Callable[[], CompareRequest]) -> dict[str, Any]:
    """Run the flow; Prefect's server starts while the request is checked and Prefect, torch and MLflow are imported."""
    from flows.ephemeral import server_for
    from modelyard.logs import log_to_file
    from modelyard.progress import ConsoleProgress

    home = Home.current()
    with server_for(home) as server:
        request = make_request()
        if server:
            server.go()
        from flows.processes import prefect_session

        with prefect_session(home, server) as wait_until_ready, log_to_file(home) as log, ConsoleProgress() as progress:
            progress.say(f"store {home.root}, full log {log}")
            from flows.compare import compare
            from modelyard.tracking.beside import mirrored
            from modelyard.tracking.reconcile import reconcile

            for done in reconcile(home):
                progress.say(done)
            wait_until_ready()
            with mirrored(home, progress.say):
                result: dict[str, Any] = compare(request)
    return result
