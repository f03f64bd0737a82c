"""Alerts: failures and findings that somebody should hear of, in the log and in the store's record.

Where `MODELYARD_WEBHOOK` names addresses, an alert also waits in a file of its own until each of them has
taken it. A process of `modelyard.alerts.webhooks` sends it: started for each alert, and by `modelyard up`.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from modelyard.files import make_folder, write_json
from modelyard.home import Home

Kind = Literal["failure", "crash", "refused", "drift", "data-refused", "test"]
BUDGET_SECONDS = 2.0
"""How long an alert may hold up a run, on a disk that hangs; it goes on in the background while the run
lives.
"""
ROUND_SECONDS = 300.0
"""How often `modelyard up` sends what waits."""
VARIABLE = "MODELYARD_WEBHOOK"

logger = logging.getLogger("modelyard.alerts.record")
Entry = dict[str, Any]


def alert(home: Home, kind: Kind, title: str, facts: Mapping[str, Any]) -> None:
    """Record an alert and start to send it. Never raises; takes at most `BUDGET_SECONDS`."""
    try:
        work = threading.Thread(target=_record_and_send, args=(home, kind, title, dict(facts)), daemon=True)
        work.start()
        work.join(BUDGET_SECONDS)
        if work.is_alive():
            logger.warning(
                "alert %r is not recorded after %s s; it goes on in the background", title, BUDGET_SECONDS
            )
    except Exception:  # an alert must not end the run that it is about
        logger.exception("alert %r could not be recorded or sent", title)


def _record_and_send(home: Home, kind: Kind, title: str, facts: Mapping[str, Any]) -> None:
    try:
        logger.warning("ALERT %s: %s", kind, title)
        record(home, kind, title, facts)
        send_in_background(home)
    except Exception:
        logger.exception("alert %r could not be recorded or sent", title)


def record(home: Home, kind: Kind, title: str, facts: Mapping[str, Any]) -> Entry:
    """Add an alert to the record and, where there are webhooks, to those that wait.

    It waits before it is in the record: killed between the two, it is still delivered.
    """
    entry: Entry = {
        "id": uuid.uuid4().hex,
        "time": datetime.now(UTC).isoformat(timespec="microseconds"),
        "kind": kind,
        "title": title,
        "host": platform.node(),
        "facts": json.loads(json.dumps(dict(facts), default=str)),
    }
    if os.environ.get(VARIABLE):
        name = f"{entry['time'].replace(':', '')}-{entry['id']}.json"
        write_json(waiting_folder(home) / name, entry | {"delivered": []})
    _append(record_file(home), entry)
    return entry


def _append(path: Path, entry: Entry) -> None:
    """One write: lines of several processes do not mix. A line that a full disk cut short is ended first."""
    make_folder(path.parent)
    with path.open("ab+") as stream:
        torn = stream.tell() > 0 and (stream.seek(-1, os.SEEK_END), stream.read(1))[1] != b"\n"
        os.write(stream.fileno(), (b"\n" if torn else b"") + json.dumps(entry).encode() + b"\n")


def send_in_background(home: Home) -> None:
    """Where webhooks are named and alerts wait, start a process that sends them; it outlives this one.

    Raises: OSError, StoreError.
    """
    if not (os.environ.get(VARIABLE) and waiting_files(home)):
        return
    command = [sys.executable, "-P", "-m", "modelyard.alerts.webhooks", str(home.root)]
    with (make_folder(home.logs) / "alerts-sender.log").open("ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    threading.Thread(target=process.wait, daemon=True).start()  # so that it leaves no zombie


def send_regularly(home: Home, seconds: float = ROUND_SECONDS) -> None:
    """Send what waits, now and every `seconds`, for ever."""
    while True:
        try:
            send_in_background(home)
        except Exception:  # a disk that is full or away now may be back in the next round
            logger.exception("alerts that wait could not be sent")
        time.sleep(seconds)


def read_record(home: Home) -> list[Entry]:
    """All alerts of the store, oldest first, each with `state`: waiting, or recorded (delivered where there
    are webhooks).
    """
    waiting = {path.stem.rpartition("-")[2] for path in waiting_files(home)}
    entries = []
    path = record_file(home)
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            entry = json.loads(line)
            entries.append(entry | {"state": "waiting" if entry["id"] in waiting else "recorded"})
        except (ValueError, KeyError, TypeError):  # cut short by a full disk
            continue
    return entries


def was_told(home: Home, kind: Kind, facts: Mapping[str, Any]) -> bool:
    """Whether the record has an alert of this kind with these facts, so that a nightly run need not repeat
    it.
    """
    try:
        told = [entry["facts"] for entry in read_record(home) if entry["kind"] == kind]
        return any(known | dict(facts) == known for known in told)
    except (OSError, LookupError, TypeError):  # the record cannot be read: better told twice than never
        return False


def record_file(home: Home) -> Path:
    """Every alert, a line each."""
    return home.logs / "alerts.jsonl"


def waiting_folder(home: Home) -> Path:
    """Alerts that not every webhook has taken yet, a file each."""
    return home.state / "alerts"


def waiting_files(home: Home) -> list[Path]:
    """The same, oldest first."""
    return sorted(waiting_folder(home).glob("[0-9]*.json"))
