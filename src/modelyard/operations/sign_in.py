"""The string that opens Prefect's API below `modelyard up`, and how a browser comes in without it.

It is in one file of the store and in the environment of the processes that need it: in no command line, log
or browser.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from modelyard.errors import StoreError
from modelyard.files import make_folder, read_private, write_atomically
from modelyard.home import Home
from modelyard.operations.state import running_state

PATH = "/sign-in"
TICKET_SECONDS = 600
WATCH_SECONDS = 1.0


def auth_file(home: Home) -> Path:
    return home.state / "prefect-auth"


def make_auth(home: Home) -> str:
    """What the file holds; made anew where it is lost, truncated, or not for its owner alone. Raises:
    StoreError.
    """
    with FileLock(make_folder(home.locks) / "prefect-auth.lock"):  # of two that find none, one makes it
        if not (made := _read(home)):
            made = f"modelyard:{secrets.token_urlsafe(32)}"
            write_atomically(auth_file(home), made.encode(), private=True)
            if _read(home) != made:
                raise StoreError(
                    f"the file system of {home.root} keeps no modes, so others could read it; move the store"
                )
        return made


def restart_when_changed(home: Home, auth: str) -> None:
    """End this process once the file holds something else: its supervisor starts it again, with what it then
    holds.
    """
    while _read(home) == auth:
        time.sleep(WATCH_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


def _read(home: Home) -> str:
    text = read_private(auth_file(home))
    return text if re.fullmatch(r"modelyard:[\w-]{43}", text) else ""


@dataclass(frozen=True, slots=True)
class SignIn:
    """A ticket is good for one browser, once, for ten minutes; the session that it opens lasts as long as
    this `up`.

    What a browser keeps belongs to an address, and another user's server may have that address some other
    day.
    """

    auth: str
    supervisor: str
    """Identity of the `up`."""

    def link(self, address: str) -> str:
        """Prefect's page at this address, with a ticket where no log and no referrer gets to see it."""
        words = f"{time.time_ns()}.{secrets.token_hex(16)}"
        return f"{address}{PATH}#{words}.{self.sign(words)}"

    def accepts(self, ticket: str, since: int) -> bool:
        """Whether it was made for this `up`, after `since` and lately (ns)."""
        words, _, signature = ticket.rpartition(".")
        made, earliest = words.partition(".")[0], max(since, time.time_ns() - TICKET_SECONDS * 10**9)
        is_ours = hmac.compare_digest(signature.encode(), self.sign(words).encode())
        return is_ours and made.isdecimal() and int(made) >= earliest  # a session is signed, too

    def sign(self, words: str) -> str:
        """`session` signed is what a browser sends instead of the string."""
        return hmac.digest(self.auth.encode(), f"{self.supervisor} {words}".encode(), "sha256").hex()


def page_link(home: Home) -> str:
    """Prefect's page with a new ticket; empty where none is served."""
    state = running_state(home)
    if state is None or "prefect" not in state.addresses:
        return ""
    return SignIn(make_auth(home), state.process).link(state.addresses["prefect"])
