"""Following promotions and changed tokens while a server runs."""

from __future__ import annotations

import asyncio

from modelyard.serving.http.auth import Tokens
from modelyard.serving.models.repository import Repository
from modelyard.serving.processes.events import log_event


async def follow_releases(repository: Repository, tokens: Tokens | None, poll_s: float) -> None:
    """Look at the alias files and the tokens every `poll_s` seconds, until cancelled."""
    while True:
        await asyncio.sleep(poll_s)
        try:
            await repository.refresh()
            if tokens:
                tokens.refresh()
        except Exception as error:  # the watch must outlive whatever one look met
            log_event("fault", {"where": "following releases", "reason": repr(error)})
