"""What a person should hear of when nobody watches: into the store's record and the log, and to webhooks.

An alert never raises into the run it tells of and never holds it up for longer than `BUDGET_SECONDS`.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import subprocess
import sys
import threading
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from modelyard.files import make_folder, write_json
from modelyard.home import Home

Kind = Literal["failure", "crash", "refused", "drift", "data-refused", "test"]
BUDGET_SECONDS = 2.0
"""A disk that hangs costs a run this much and no more; the alert goes on in the background while the run
lives.
"""
MOST_WAITING = 500
"""Alerts kept for webhooks that do not answer; of more the oldest are given up. The record has them all."""
VARIABLE = "MODELYARD_WEBHOOK"

logger = logging.getLogger("modelyard.alerts.record")
Entry = dict[str, Any]


def alert(home: Home, kind: Kind, title: str, facts: Mapping[str, Any]) -> None:
    """Record an alert and hand it to the webhooks that MODELYARD_WEBHOOK names. Never raises."""
    try:
        work = threading.Thread(target=_tell, args=(home, kind, title, dict(facts)), daemon=True)
        work.start()
        work.join(BUDGET_SECONDS)
        if work.is_alive():
            logger.warning(
                "alert %r is not recorded after %s s; it goes on in the background", title, BUDGET_SECONDS
            )
    except Exception:  # whatever it is, the run is worth more
        logger.exception("alert %r could not be told", title)


def _tell(home: Home, kind: Kind, title: str, facts: Mapping[str, Any]) -> None:
    try:
        logger.warning("ALERT %s: %s", kind, title)
        entry = record(home, kind, title, facts)
        if os.environ.get(VARIABLE):
            send_in_background(home)
            logger.info("alert %s is on its way to the webhooks", entry["id"])
    except Exception:
        logger.exception("alert %r could not be told", title)


def record(home: Home, kind: Kind, title: str, facts: Mapping[str, Any]) -> Entry:
    """Keep an alert in the store and, where there are webhooks, among those that wait to be delivered.

    It waits before it is in the record: killed between the two, it is still delivered.
    """
    entry: Entry = {
        "id": uuid.uuid4().hex,
        "time": datetime.now(UTC).isoformat(timespec="microseconds"),
        "kind": kind,
        "title": title,
        "host": platform.node(),
        "facts": {name: _plain(fact) for name, fact in facts.items()},
    }
    if os.environ.get(VARIABLE):
        write_json(
            waiting_folder(home) / f"{entry['time'].replace(':', '')}-{entry['id']}.json",
            entry | {"delivered": []},
        )
        _give_up_oldest(home)
    _append(record_file(home), entry)
    return entry


def _plain(fact: object) -> object:
    """JSON takes it as it is, or as text."""
    try:
        json.dumps(fact)
    except (TypeError, ValueError):
        return str(fact)
    return fact


def _append(path: Path, entry: Entry) -> None:
    """One write: lines of several processes do not mix. A line that a full disk cut short is ended first."""
    make_folder(path.parent)
    with path.open("ab+") as stream:
        torn = stream.tell() > 0 and (stream.seek(-1, os.SEEK_END), stream.read(1))[1] != b"\n"
        os.write(stream.fileno(), (b"\n" if torn else b"") + json.dumps(entry).encode() + b"\n")


def _give_up_oldest(home: Home) -> None:
    waiting = waiting_files(home)
    for path in waiting[: max(0, len(waiting) - MOST_WAITING)]:
        path.unlink(missing_ok=True)


def send_in_background(home: Home) -> None:
    """Start a process that delivers what waits and then ends; it outlives this one."""
    log = make_folder(home.logs) / "alerts-sender.log"
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "modelyard.alerts.webhooks", str(home.root)],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    threading.Thread(
        target=process.wait, daemon=True
    ).start()  # it leaves no zombie while this process lives on


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
    """Whether the store has an alert of this kind with these facts, so that it need not be told
    every night.
    """
    try:
        told = [entry["facts"] for entry in read_record(home) if entry["kind"] == kind]
        return any(
            all(name in known and known[name] == fact for name, fact in facts.items()) for known in told
        )
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
