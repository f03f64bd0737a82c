"""Flows as the command line and the Python interface run them: with their server, their log file and their
progress.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from modelyard.home import Home

if TYPE_CHECKING:
    from modelyard.recipes.recipe import Recipe
    from modelyard.recipes.request import CompareRequest
    from modelyard.recipes.words import Words

Request = TypeVar("Request")


def run_compare(words: Words, recipes: Mapping[str, Recipe] | None = None) -> dict[str, Any]:
    """Run the flow `compare`, with the recipes of these words or with chosen ones. Raises: ModelyardError."""

    def make_request() -> CompareRequest:
        from modelyard.recipes.request import CompareRequest, compare_request

        return compare_request(words) if recipes is None else CompareRequest.of(words, recipes)

    with flow_session(make_request) as request:
        from flows.compare import compare
        from modelyard.models.own_modules import record

        record(Home.current(), request.own_modules())
        result: dict[str, Any] = compare(request)
    return result


@contextmanager
def flow_session(make_request: Callable[[], Request]) -> Iterator[Request]:
    """What a flow needs around it; Prefect's server starts while the request is checked and the libraries are
    imported.
    """
    from flows.ephemeral import server_for
    from modelyard.machine.logs import log_to_file
    from modelyard.progress import ConsoleProgress

    home = Home.current()
    with server_for(home) as server:
        request = make_request()
        if server:
            server.go()
        from flows.processes import prefect_session

        with (
            prefect_session(home, server) as wait_until_ready,
            log_to_file(home) as log,
            ConsoleProgress() as progress,
        ):
            progress.say(f"store {home.root}, full log {log}")
            import flows.tasks  # noqa: F401 - while the server starts
            from modelyard.mirror.background import mirrored
            from modelyard.tracking.reconcile import reconcile

            for done in reconcile(home):
                progress.say(done)
            wait_until_ready()
            with mirrored(home, progress.say):
                yield request
