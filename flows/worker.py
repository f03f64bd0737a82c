"""`python -m flows.worker`: runs what is due on this machine, and cleans up after what was killed.

Prefect's own process worker on the pool `modelyard`, with one thing beside it: flow runs whose process is gone are
marked, and those of a schedule are put back, so that they go on from their last checkpoint.
"""

from __future__ import annotations

import asyncio
import logging
import time

import httpx
from prefect.settings import PREFECT_API_URL
from prefect.workers.process import ProcessWorker

from flows.reconciliation import reconcile
from modelyard.environment import configure
from modelyard.home import Home

POOL = "modelyard"
RECONCILE_SECONDS = 10.0
logger = logging.getLogger(__name__)


async def _reconcile_for_ever() -> None:
    while True:
        try:
            await asyncio.to_thread(reconcile, put_back=True)
        except Exception:  # the server may be starting, or be restarted just now
            logger.exception("killed runs could not be looked for")
        await asyncio.sleep(RECONCILE_SECONDS)


def _wait_for_server() -> None:
    """It may be starting, too; Prefect's worker would wait a minute before it asks again."""
    while True:
        try:
            if httpx.get(f"{PREFECT_API_URL.value()}/health", timeout=5).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            time.sleep(0.5)


async def main() -> None:
    """Until it is told to end. One run at a time: they would only share the same cores."""
    _wait_for_server()
    keeper = asyncio.create_task(_reconcile_for_ever())
    await ProcessWorker(work_pool_name=POOL, name="modelyard", limit=1).start()
    keeper.cancel()


if __name__ == "__main__":
    configure(Home.current())
    asyncio.run(main())
