"""`python -m flows.worker`: runs what is due on this machine, and cleans up after what was killed.

Prefect's own process worker on the pool `modelyard`, with two things beside it: it starts nothing but this
project's flow (`flows.guard`), and flow runs whose process is gone are marked, and those of a schedule are
put back, so that they go on from their last checkpoint. It also sends the alerts that wait for a webhook.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import threading
import time
from contextlib import suppress

import httpx

from flows.ephemeral import own_address
from modelyard.alerts.record import send_regularly
from modelyard.home import Home
from modelyard.machine.environment import configure
from modelyard.operations.sign_in import make_auth, restart_when_changed
from modelyard.operations.work_pool import POOL

RECONCILE_SECONDS = 10.0
logger = logging.getLogger(__name__)


async def _reconcile_for_ever() -> None:
    from flows.reconciliation import reconcile

    while True:
        try:
            await asyncio.to_thread(reconcile, put_back=True)
        except Exception:  # the server may be starting, or be restarted just now
            logger.exception("killed runs could not be looked for")
        await asyncio.sleep(RECONCILE_SECONDS)


def _wait_for_server(api: str) -> None:
    """It may be starting, too; Prefect's worker would wait a minute before it asks again."""
    while True:
        with suppress(httpx.TransportError):
            if httpx.get(f"{api}/health", timeout=5).status_code == httpx.codes.OK:
                return
        time.sleep(0.5)


async def work() -> None:
    """Until it is told to end. One run at a time: they would only share the same cores."""
    from flows.guard import GuardedWorker

    keeper = asyncio.create_task(_reconcile_for_ever())
    await GuardedWorker(work_pool_name=POOL, name=platform.node() or None, limit=1).start()
    keeper.cancel()


def main() -> None:
    """The worker of `modelyard up`. Signed in before Prefect is imported, and only where the server is our
    own.
    """
    home = Home.current()
    configure(home)
    threading.Thread(target=send_regularly, args=(home,), daemon=True).start()
    _wait_for_server(os.environ["PREFECT_API_URL"])
    if own_address(home) is not None:
        auth = os.environ["PREFECT_API_AUTH_STRING"] = make_auth(home)
        threading.Thread(target=restart_when_changed, args=(home, auth), daemon=True).start()
    asyncio.run(work())


if __name__ == "__main__":
    main()
