"""One lock of the operating system for each device: trainings never share one, whoever started them.

A CPU has as many slots as usable cores: a training that uses all of them takes all, one of several beside each other
takes its share. A CUDA device is one slot. The kernel frees the locks of a process however it ends.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from filelock import FileLock, Timeout

from modelyard.cores import usable_cores
from modelyard.files import make_folder
from modelyard.home import Home

POLL_S = 0.05


@contextmanager
def device_slots(home: Home, kind: str, wanted: int | None = None, patience_s: float = math.inf) -> Iterator[int]:
    """Hold `wanted` slots (None: all) of the `kind` cpu or cuda; gives how many they are. Waits for its turn.

    After `patience_s` it gives 0 and holds none. Who waits for several slots keeps those it has and is the only one that
    takes any, so two can never wait for each other.
    """
    total = usable_cores() if kind == "cpu" else 1
    count = min(wanted or total, total)
    locks = make_folder(home.locks)
    turn = FileLock(locks / f"device-{kind}.turn")
    free = [FileLock(locks / f"device-{kind}-{slot}.lock") for slot in range(total)]
    with ExitStack() as held:
        if not _take(held, turn, free, count, time.monotonic() + patience_s):
            held.close()
            count = 0
        yield count


def _take(held: ExitStack, turn: FileLock, free: list[FileLock], count: int, until: float) -> bool:
    """Whether so many were taken in time."""
    try:
        with turn.acquire(timeout=-1 if until == math.inf else max(0.0, until - time.monotonic())):
            taken = 0
            while taken < count:
                for lock in [lock for lock in free if not lock.is_locked]:
                    with suppress(Timeout):
                        held.enter_context(lock.acquire(timeout=0))
                        taken += 1
                    if taken == count:
                        break
                else:
                    if time.monotonic() > until:
                        return False
                    time.sleep(POLL_S)
    except Timeout:
        return False
    return True
