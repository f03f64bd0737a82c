"""Child processes that end with their parent, however it ends.

On Linux the kernel sends the signal (prctl(2), PR_SET_PDEATHSIG, which survives execve); elsewhere a thread
looks for the parent once a second. `python -m modelyard.machine.bound SIGNAL COMMAND...` binds to the parent
and then becomes COMMAND, which elsewhere than on Linux is only started.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

from modelyard.home import Home
from modelyard.machine.identity import PARENT_VARIABLE, hold_place, identity

PR_SET_PDEATHSIG = 1
WATCH_SECONDS = 1.0


def bound_environment() -> dict[str, str]:
    """This process's environment for a child that calls `bind_to_parent`: it names the parent."""
    return os.environ | {PARENT_VARIABLE: identity(os.getpid())}


def bind_to_parent(number: int) -> None:
    """This process gets signal `number` when its parent ends; at once if it has ended already.

    A parent that started it with `bound_environment` is known by its id; of another only an end during this
    call is noticed. The parent is the thread that started the process: it has to live as long.
    """
    named = os.environ.pop(PARENT_VARIABLE, "")  # a process started from here has another parent
    parent = int(named.split("/")[1]) if named else os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:
            os.kill(os.getpid(), number)
    else:
        threading.Thread(target=_watch, args=(parent, number), daemon=True).start()


def _watch(parent: int, number: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_SECONDS)
    os.kill(os.getpid(), number)


def main() -> None:
    """Bind, then become the command."""
    bind_to_parent(signal.Signals[sys.argv[1]])
    if (held := hold_place(Home.current())) is not None:
        os.set_inheritable(held, True)
    os.execvp(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
