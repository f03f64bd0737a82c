"""Delivering alerts: JSON by POST, retried, each webhook once.

At least once, to be exact: a sender that is killed between the answer and its note of it sends again, with
the same `id`. `python -m modelyard.alerts.webhooks STORE` delivers what waits and ends.
"""

from __future__ import annotations

import hashlib
import html
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from modelyard.alerts.record import VARIABLE, Entry, waiting_files, waiting_folder
from modelyard.errors import ConfigError, ModelyardError, StoreError
from modelyard.files import make_folder, write_json
from modelyard.home import Home
from modelyard.terminal.printable import is_http, printable

PAUSES = (0.0, 1.0, 4.0, 15.0)
"""Seconds before each try of one sender; the next alert tries again."""
ANSWER_SECONDS = 5.0
"""For the connection and for each part of the answer."""
SENDER_SECONDS = 120
"""The kernel ends a background sender that is not done by then; what it did not deliver waits."""


@dataclass(slots=True)
class Delivery:
    """What one sender did."""

    delivered: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    """Webhook, without its secret part -> what went wrong with it last."""


def addresses() -> list[str]:
    """The webhooks that MODELYARD_WEBHOOK names. Raises: ConfigError for one that is not http or https."""
    named = [address.strip() for address in os.environ.get(VARIABLE, "").split(",") if address.strip()]
    for number, address in enumerate(named, start=1):
        if not is_http(address):
            raise ConfigError(
                f"{VARIABLE}: expected http:// or https:// addresses separated by commas, number "
                f"{number} is none"
                f" (it begins with {address[:6]!r})"
            )
    return named


def shown(address: str) -> str:
    """The address without what may be secret in it."""
    parts = urlsplit(address)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}/..."


def deliver(home: Home, pauses: Sequence[float] = PAUSES, answer_seconds: float = ANSWER_SECONDS) -> Delivery:
    """Send what waits to every webhook that has not taken it yet. One sender at a time in a store.

    Raises: ConfigError for an illegal address, StoreError when the store cannot be written.
    """
    named, done = addresses(), Delivery()
    with _turn(home) as is_mine:
        for pause in pauses if is_mine else ():
            files = waiting_files(home)
            if not files or not named:
                break
            time.sleep(pause)
            done.failures = {}
            for path in files:
                _send_one(path, named, done, answer_seconds)
            if not done.failures:
                break
    return done


@contextmanager
def _turn(home: Home) -> Iterator[bool]:
    """One sends and one waits; a third need not (False): the one that waits will find what the third came
    for.
    """
    folder = make_folder(waiting_folder(home))
    sending, following = FileLock(folder / ".sending.lock"), FileLock(folder / ".following.lock")
    try:
        following.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        sending.acquire(timeout=SENDER_SECONDS)
    except Timeout:
        raise StoreError(
            f"another sender of alerts is at work for {SENDER_SECONDS} s already; try again later"
        ) from None
    finally:
        following.release()
    try:
        yield True
    finally:
        sending.release()


def _send_one(path: Path, named: Sequence[str], done: Delivery, answer_seconds: float) -> None:
    """A webhook that failed in this round is left alone until the next."""
    try:
        entry = json.loads(path.read_bytes())
        taken = list(entry.pop("delivered"))
    except FileNotFoundError:  # given up meanwhile
        return
    except (ValueError, KeyError, TypeError, AttributeError):
        path.rename(path.with_suffix(".damaged"))
        return
    for number, address in enumerate(named, start=1):
        mark, label = _mark(address), f"webhook {number}, {shown(address)},"
        if mark in taken or label in done.failures:
            continue
        if failure := post(address, entry, answer_seconds):
            done.failures[label] = failure
            continue
        taken.append(mark)
        done.delivered += 1
        write_json(path, entry | {"delivered": taken})
    if {_mark(address) for address in named} <= set(taken):
        path.unlink(missing_ok=True)


def _mark(address: str) -> str:
    """Names a webhook on disk without its secret."""
    return hashlib.sha256(address.encode()).hexdigest()[:16]


def post(address: str, entry: Entry, answer_seconds: float) -> str | None:
    """None when the webhook took it (2xx), else what went wrong. Redirects are not followed: a POST would
    become a GET.
    """
    import httpx

    logging.getLogger("httpx").setLevel(logging.WARNING)  # at INFO it logs the whole address
    try:
        with httpx.stream(
            "POST", address, json=payload(entry), timeout=answer_seconds, follow_redirects=False
        ) as answer:
            return None if answer.is_success else f"it answered {answer.status_code}"
    except Exception as error:  # their texts may hold the address
        return type(error).__name__


def payload(entry: Entry) -> dict[str, object]:
    """The alert as JSON, with the `text` that Slack and its likes show: they take `<` for a link or a call of
    all.
    """
    lines = [f"Modelyard on {entry['host']}, {entry['kind']}: {entry['title']}"]
    lines += [f"{name}: {fact}" for name, fact in entry["facts"].items()]
    return entry | {"text": "\n".join(html.escape(printable(line), quote=False) for line in lines)}


def main(store: str) -> int:
    """Deliver in the background; its output is the sender's log."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    signal.alarm(SENDER_SECONDS)
    try:
        done = deliver(Home(Path(store)))
    except (ModelyardError, OSError) as error:
        logging.error("%s", error)
        return 1
    logging.info("delivered %d; %s", done.delivered, done.failures or "nothing waits")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
