"""Slots of a device: never more than there are, never for ever."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from modelyard.home import Home
from modelyard.machine import devices
from modelyard.machine.devices import device_slots

HOLDER = """
import sys
from pathlib import Path
from modelyard.machine import devices
from modelyard.home import Home
devices.usable_cores = lambda: 5
with devices.device_slots(Home(Path(sys.argv[1])), "cpu", int(sys.argv[2])) as held:
    print(held, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def five_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "usable_cores", lambda: 5)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def holder(home: Home, slots: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLDER, str(home.root), str(slots)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_no_more_slots_are_held_than_there_are(home: Home) -> None:
    held, most, lock = [0], [0], threading.Lock()

    def work(slots: int | None) -> None:
        with device_slots(home, "cpu", slots) as count:
            with lock:
                held[0] += count
                most[0] = max(most[0], held[0])
            time.sleep(0.02)
            with lock:
                held[0] -= count

    threads = [threading.Thread(target=work, args=(slots,)) for slots in (1, 2, None, 3, 1, None, 2, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    assert (held, most) == ([0], [5])


@pytest.mark.fault(
    "a training that holds the device is killed", how="SIGKILL of a process that holds its locks"
)
def test_the_kernel_frees_what_a_killed_process_held(home: Home) -> None:
    first = holder(home, 3)
    assert first.stdout is not None
    assert first.stdout.readline() == "3\n"
    second = holder(home, 4)  # takes the two that are free, and waits
    assert second.stdout is not None
    time.sleep(0.5)
    assert second.poll() is None
    first.kill()
    first.communicate()
    assert second.stdout.readline() == "4\n"
    second.kill()
    second.communicate()
    with device_slots(home, "cpu") as count:
        assert count == 5


def test_who_runs_out_of_patience_holds_nothing(home: Home) -> None:
    with device_slots(home, "cpu", 2), device_slots(home, "cpu", 3, patience_s=0.0) as third:
        assert third == 3
        start = time.monotonic()
        with device_slots(home, "cpu", patience_s=0.2) as none:
            assert none == 0 and time.monotonic() - start < 5
    slots = (device_slots(home, "cpu", wanted, patience_s=0.0) for wanted in (1, 5, 4))
    with next(slots) as one, next(slots) as none, next(slots) as rest:
        assert (one, none, rest) == (1, 0, 4)
    with device_slots(home, "cpu", patience_s=0.0) as count:
        assert count == 5


def test_each_cuda_device_is_one_slot(home: Home) -> None:
    names = ("cuda", "cpu", "cuda:1", "cuda:0", "cuda:1", "cuda:2")
    with ExitStack() as held:
        slots = [held.enter_context(device_slots(home, name, 3, patience_s=0.0)) for name in names]
    assert slots == [1, 3, 1, 0, 0, 1], "cuda is the first card"
