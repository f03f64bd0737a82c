"""A child ends with its parent, however the parent ends: parents are killed for real."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

PARENT = """
import subprocess, sys
from modelyard.machine.bound import bound_environment
subprocess.Popen([sys.executable, "-P", *sys.argv[1:]], env=bound_environment())
input()
"""
CHILD = """
import os, signal, sys, time
from modelyard.machine.bound import bind_to_parent
platform, when = sys.argv[1:]
sys.platform = platform
if when == "before":
    bind_to_parent(signal.SIGKILL)
parent = os.getppid()
print(os.getpid(), flush=True)
while when == "after" and os.getppid() == parent:
    time.sleep(0.01)
if when == "after":
    bind_to_parent(signal.SIGKILL)
time.sleep(60)
"""


def start(*command: str) -> tuple[subprocess.Popen[str], psutil.Process]:
    """A parent and its child, which has told its id."""
    parent = subprocess.Popen(
        [sys.executable, "-P", "-c", PARENT, *command],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert parent.stdout is not None
    return parent, psutil.Process(int(parent.stdout.readline()))


def ends_with(parent: subprocess.Popen[str], child: psutil.Process) -> bool:
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()
    gone, _ = psutil.wait_procs([child], timeout=10)
    return bool(gone == [child])


@pytest.mark.fault("a parent is killed", how="SIGKILL of the parent, before or after its child binds to it")
@pytest.mark.parametrize("platform", ["linux", "darwin"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_child_ends_with_its_parent(platform: str, when: str) -> None:
    assert ends_with(*start("-c", CHILD, platform, when))


@pytest.mark.fault("a parent of many processes is killed", how="SIGKILL of the parent alone")
def test_a_bound_command_ends_with_its_parent() -> None:
    command = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    assert ends_with(*start("-m", "modelyard.machine.bound", "SIGKILL", sys.executable, "-c", command))


def test_the_parent_is_named_to_its_child_alone() -> None:
    """A grandchild that binds has another parent, and must not end at once."""
    grandchild = [sys.executable, "-P", "-c", CHILD, "linux", "before"]
    child = f"import subprocess, signal; from modelyard.machine.bound import bind_to_parent as bind; \
bind(signal.SIGKILL); subprocess.run({grandchild!r})"
    parent, process = start("-c", child)
    time.sleep(0.2)
    assert process.is_running()
    assert ends_with(parent, process)
