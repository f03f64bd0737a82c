"""`python -m modelyard.machine.bound SIGNAL COMMAND...`: become COMMAND, and get SIGNAL when the parent is
gone.

The kernel keeps that promise however the parent dies (prctl(2), PR_SET_PDEATHSIG; it survives execve), so
nothing is orphaned. Elsewhere than on Linux COMMAND is only started.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from modelyard.home import Home
from modelyard.machine.identity import hold_place

PR_SET_PDEATHSIG = 1


def bind_to_parent(number: int) -> None:
    """This process gets signal `number` when its parent ends; at once, if that has happened."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def main() -> None:
    """Bind, then become the command."""
    bind_to_parent(signal.Signals[sys.argv[1]])
    if (held := hold_place(Home.current())) is not None:
        os.set_inheritable(held, True)
    os.execvp(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
