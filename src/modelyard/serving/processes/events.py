"""Structured logs: one JSON object a line on standard error."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime


def log_event(event: str, fields: Mapping[str, object]) -> None:
    """Write one line; a single `write`, so that lines of several workers never mix."""
    line = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "event": event,
        "pid": os.getpid(),
        **fields,
    }
    with suppress(OSError):  # nobody reads standard error any more
        os.write(2, json.dumps(line, default=str).encode() + b"\n")
