"""`python -m modelyard.operations.serving PORT NAME...`: wait for a first release, then become the model
server.
"""

from __future__ import annotations

import os
import sys
import time

from modelyard.home import Home
from modelyard.releases.pointers import has_pointers

POLL_S = 0.5


def main(port: str, *names: str) -> None:
    """One worker: a machine that also trains has other work for its cores. `names`: hosts beside this
    machine's.
    """
    home = Home.current()
    while not has_pointers(home.releases):
        time.sleep(POLL_S)
    command = [sys.executable, "-P", "-m", "modelyard.serving", "--port", port, "--workers", "1"]
    command += [word for name in names for word in ("--allowed-host", name)]
    os.execv(sys.executable, command)


if __name__ == "__main__":
    main(*sys.argv[1:])
