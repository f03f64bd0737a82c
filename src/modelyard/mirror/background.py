"""Mirroring while a run works, in a background process that can neither slow the run down nor end it.

`python -m modelyard.mirror.background` looks every few seconds for what is new. When its stdin is closed it
sends the rest and ends; when the run itself ends, however, it ends at once. Killed at any moment it leaves
nothing that the next sync does not put right.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from modelyard.files import make_folder
from modelyard.home import Home
from modelyard.machine.bound import bind_to_parent, bound_environment
from modelyard.mirror.remote import Remote, configured_remote
from modelyard.terminal.printable import printable

logger = logging.getLogger(__name__)
EVERY_SECONDS, END_SECONDS, BROKEN_END_SECONDS = 10.0, 15.0, 3.0
NICENESS = 10


@contextmanager
def mirrored(home: Home, say: Callable[[str], None]) -> Iterator[None]:
    """Mirror while the body works; at its end wait a little for the rest and say what is left. Raises:
    ConfigError.
    """
    remote = configured_remote()
    if remote is None:
        yield
        return
    process = _start(home)
    patience = BROKEN_END_SECONDS
    try:
        yield
        patience = END_SECONDS
    finally:
        try:
            _finish(process, patience)
            _say_what_waits(home, remote, say)
        except Exception:  # whatever it is, the run has its result
            logger.exception("mirroring to %s", remote.name)


def _start(home: Home) -> subprocess.Popen[bytes]:
    with (make_folder(home.logs) / "mirror.log").open("ab") as log:
        command = [sys.executable, "-P", "-m", "modelyard.mirror.background"]
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True,
            env=bound_environment(),
        )  # fmt: skip


def _finish(process: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        process.communicate(timeout=seconds)  # closes its stdin
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _say_what_waits(home: Home, remote: Remote, say: Callable[[str], None]) -> None:
    from modelyard.mirror.sent import Record, count_waiting, in_words

    if waiting := count_waiting(home, remote):
        why = Record(home, remote).problem or f"not all was sent within {END_SECONDS:.0f} s"
        say(f"{in_words(waiting)} for {remote.name} ({why}); modelyard sync or the next run sends them")


def main() -> None:
    """Send what is new until stdin is closed."""
    bind_to_parent(signal.SIGKILL)
    finish = threading.Event()
    threading.Thread(target=_wait_for_end, args=(finish,), daemon=True).start()
    with suppress(OSError):
        os.nice(NICENESS)
    home, remote = Home.current(), configured_remote()
    if remote is None:
        return
    from modelyard.mirror.mirror import sync

    is_last = False
    while not is_last:
        is_last = finish.wait(EVERY_SECONDS)
        try:
            sync(home, remote, lambda _: None, lock_seconds=END_SECONDS if is_last else 0)
        except Exception as error:  # the next time may be better
            print(time.strftime("%F %T"), type(error).__name__, printable(error), flush=True)  # noqa: T201 - into mirror.log


def _wait_for_end(finish: threading.Event) -> None:
    sys.stdin.buffer.read()
    finish.set()


if __name__ == "__main__":
    from modelyard.machine.environment import configure
    from modelyard.machine.quick_exit import leave

    configure(Home.current())
    main()
    leave()
