"""Posting alerts to webhooks as JSON, with retries; each webhook gets each alert once.

At least once, to be exact: a sender that is killed after a webhook took an alert and before it noted that
sends it again, with the same `id`. `python -m modelyard.alerts.webhooks STORE` sends what waits and ends.
"""

from __future__ import annotations

import hashlib
import html
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock, Timeout
from urllib3.exceptions import MaxRetryError
from urllib3.util.retry import Retry

from modelyard.alerts.record import VARIABLE, Entry, waiting_files, waiting_folder
from modelyard.errors import ConfigError, ModelyardError, StoreError
from modelyard.files import make_folder, write_json
from modelyard.home import Home
from modelyard.terminal.printable import is_http, printable

RETRY = Retry(total=4, backoff_factor=1)
"""One try, and up to four more after 0, 2, 4 and 8 seconds; what is refused then waits for the next round."""
ANSWER_SECONDS = 5.0
"""For the connection and for each part of the answer."""
PROCESS_SECONDS = 280
"""When the kernel ends a sender that is not done, before the next round; what it did not deliver waits."""


@dataclass(slots=True)
class Delivery:
    """What one sender did."""

    delivered: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    """Webhook, without its secret part -> why it did not take an alert."""


def addresses() -> list[str]:
    """The webhooks that MODELYARD_WEBHOOK names. Raises: ConfigError for one that is not http or https."""
    named = [address.strip() for address in os.environ.get(VARIABLE, "").split(",") if address.strip()]
    for number, address in enumerate(named, start=1):
        if not is_http(address):
            expected = f"{VARIABLE}: expected http:// or https:// addresses separated by commas"
            raise ConfigError(f"{expected}, number {number} is none (it begins with {address[:6]!r})")
    return named


def shown(address: str) -> str:
    """The address without what may be secret in it."""
    parts = urlsplit(address)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}/..."


def deliver(home: Home, retry: Retry | None = None) -> Delivery:
    """Send what waits to every webhook that has not taken it yet; `retry` is `RETRY` where none is given.

    Raises: ConfigError for an illegal address, StoreError while another process sends.
    """
    named, done = addresses(), Delivery()
    lock = FileLock(make_folder(waiting_folder(home)) / ".sending.lock")
    while named and not done.failures and waiting_files(home):  # also what came while the lock was held
        try:
            with lock.acquire(timeout=0):
                for number, address in enumerate(named, start=1):
                    if failure := _send_all(home, address, named, done, retry or RETRY):
                        done.failures[f"webhook {number}, {shown(address)},"] = failure
        except Timeout:
            raise StoreError("another process is sending alerts; see: modelyard alerts list") from None
    return done


def _send_all(home: Home, address: str, named: Sequence[str], done: Delivery, retry: Retry) -> str | None:
    """What waits for one webhook, oldest first, until one is not taken: then the rest goes on waiting.

    Gives why it was not taken, or None.
    """
    for path in waiting_files(home):
        try:
            entry = json.loads(path.read_bytes())
        except ValueError:  # a damaged disk; the record may still have the alert
            path.unlink()
            continue
        delivered = entry.pop("delivered")
        if _mark(address) not in delivered:
            if failure := _retried(partial(post, address, entry), retry):
                return failure
            done.delivered += 1
            delivered.append(_mark(address))
        if set(map(_mark, named)) <= set(delivered):
            path.unlink()
        else:
            write_json(path, entry | {"delivered": delivered})
    return None


def _mark(address: str) -> str:
    """Names a webhook on disk without its secret."""
    return hashlib.sha256(address.encode()).hexdigest()[:16]


def _retried(post_once: Callable[[], str | None], retry: Retry) -> str | None:
    """None, or the failure of the last try."""
    while failure := post_once():
        try:
            retry = retry.increment()
        except MaxRetryError:
            return failure
        retry.sleep()
    return None


def post(address: str, entry: Entry) -> str | None:
    """None when the webhook took it (2xx), else what went wrong. Redirects are not followed: a POST would
    become a GET. Of the answer only the head is read.
    """
    import httpx

    logging.getLogger("httpx").setLevel(logging.WARNING)  # at INFO it logs the whole address
    try:
        with httpx.stream(
            "POST", address, json=payload(entry), timeout=ANSWER_SECONDS, follow_redirects=False
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
    """Send what waits and end; the output is a log."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    signal.alarm(PROCESS_SECONDS)
    try:
        done = deliver(Home(Path(store)))
    except (ModelyardError, OSError) as error:
        logging.error("%s", error)
        return 1
    logging.info("delivered %d; %s", done.delivered, done.failures or "nothing waits")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
