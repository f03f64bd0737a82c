"""Whether Prefect hands out what the worker of `modelyard up` would run; Prefect's own client takes a second
to import.
"""

from __future__ import annotations

import base64
import json
import urllib.request

from modelyard.home import Home
from modelyard.operations.sign_in import make_auth

POOL = "modelyard"
PATH, MOST_BYTES, PATIENCE = f"/api/work_pools/{POOL}", 1 << 20, 2.0


def worker_state(home: Home, prefect: str | None) -> str:
    """Of a worker that runs; `prefect`: the address of its server, where that is ours."""
    try:
        told = {"Authorization": f"Basic {base64.b64encode(make_auth(home).encode()).decode()}"}
        with urllib.request.urlopen(
            urllib.request.Request(f"{prefect}{PATH}", headers=told), timeout=PATIENCE
        ) as answer:
            is_paused = json.loads(answer.read(MOST_BYTES))["is_paused"]
    except (OSError, ValueError, KeyError, TypeError):  # no server of ours, or one that starts
        return "running"
    return "waiting: its work pool is paused; modelyard schedule resume NAME" if is_paused else "running"
