"""The trainings of a sweep or a curve as they end."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from prefect.futures import PrefectFuture, as_completed

from modelyard.errors import AnotherStoreError, ModelyardError, StoreError
from modelyard.home import Home
from modelyard.progress import current_progress
from modelyard.sweeps import summary
from modelyard.sweeps.summary import TrialResult

Results = list[dict[str, Any]]


def gather(futures: Mapping[PrefectFuture[Results], TrialResult]) -> list[list[TrialResult]]:
    """In the order in which they end; a failed one is told and does not end the others.

    Each with what its result is where it fails.
    """
    gathered, progress = [], current_progress.get()
    for count, future in enumerate(as_completed(list(futures)), start=1):
        found = _result(future)
        if isinstance(found, BaseException):
            why = str(found) if isinstance(found, ModelyardError) else repr(found)
            results = [replace(futures[future], state="failed", why=why)]
        else:
            results = [summary.from_record(result) for result in found]
        for result in results:
            progress.say(f"{count}/{len(futures)}  {result.describe()}")
        gathered.append(results)
    return gathered


def _result(future: PrefectFuture[Results]) -> Results | BaseException:
    """Result of a task. Raises: StoreError from a host that would take all others and fail as fast."""
    try:
        found: Results | BaseException = future.result(raise_on_failure=False)
    except Exception as error:  # the engine's own, or Prefect's before the task began
        raise StoreError(
            f"a worker is lost ({error}): free memory, or leave out the host that does not reach "
            "Prefect's server (name one by"
            f" PREFECT_API_URL) or has not the folder {Home.current().root} of host {platform.node()}"
        ) from error
    if isinstance(found, AnotherStoreError):
        raise found
    return found
