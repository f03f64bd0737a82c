"""A lock file for each device, so that trainings, whoever started them, do not share one.

A CPU has as many slots as usable cores: a training that uses all of them takes all, one of several beside
each other takes its share. A CUDA device is one slot, with a lock of its own. The kernel frees the locks of a
process however it ends.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from filelock import FileLock, Timeout

from modelyard.files import make_folder
from modelyard.home import Home
from modelyard.machine.cores import usable_cores

POLL_S = 0.05


@contextmanager
def device_slots(
    home: Home, device: str, wanted: int | None = None, patience_s: float = math.inf
) -> Iterator[int]:
    """Hold `wanted` slots (None: all) of `cpu`, `cuda` (the first card) or `cuda:N`; gives how many they are.

    Waits for its turn. After `patience_s` it gives 0 and holds none. Who waits for several slots keeps those
    it has and is the only one that takes any, so two can never wait for each other.
    """
    kind, _, card = device.partition(":")
    slots = list(range(usable_cores())) if kind == "cpu" else [int(card or 0)]
    count, taken, until = min(wanted or len(slots), len(slots)), 0, time.monotonic() + patience_s
    locks = make_folder(home.locks)
    name = f"device-{kind}.turn" if kind == "cpu" else f"device-{kind}-{slots[0]}.turn"
    turn = FileLock(locks / name, timeout=-1 if patience_s == math.inf else patience_s)
    with ExitStack() as held:
        with suppress(Timeout), turn:
            free = [FileLock(locks / f"device-{kind}-{slot}.lock") for slot in slots]
            while taken < count:
                for lock in [lock for lock in free if not lock.is_locked]:
                    try:
                        held.enter_context(lock.acquire(timeout=0))
                    except Timeout:
                        continue
                    taken += 1
                    if taken == count:
                        break
                else:
                    if time.monotonic() > until:
                        break
                    time.sleep(POLL_S)
        if taken < count:
            held.close()
        yield taken if taken == count else 0
