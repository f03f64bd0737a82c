"""Trying a release in a process of its own before it is loaded, so that one that hangs or takes too much
memory is refused and harms nobody.

The worker starts one small process before it has threads or sessions; that process is forked for each trial,
which takes milliseconds and shares all that is imported. A trial always uses onnxruntime's CPU provider;
another one is tried by the worker.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import socket
import warnings
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from modelyard.bundle import MANIFEST_FILE, MODEL_FILE
from modelyard.errors import BundleError
from modelyard.releases.folders import read_release
from modelyard.serving.models.engine import Engine
from modelyard.terminal.printable import MAX_TEXT

AT_ONCE = 8
"""Trials in parallel; one less may hang without delaying the others."""
MODEL_SIZES = 6
"""The memory of a trial: so many times the size of the model file, in addition to what every trial may take.
"""
_BYTES = 64 * 1024


class Trials:
    """The connection to the process that tries releases."""

    def __init__(self, timeout_s: float, memory_mb: int) -> None:
        """To be called while the process has one thread."""
        self._timeout_s = timeout_s
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._process, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        gc.freeze()  # a search for garbage would touch, and so copy, what both share
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", DeprecationWarning
            )  # Python counts OpenBLAS's threads, which end for a fork
            self._pid = os.fork()
        if not self._pid:
            _wait_for_trials(theirs, timeout_s, memory_mb)
        theirs.close()

    async def attempt(self, folder: Path) -> str:
        """The digest of the manifest of a release that can be served. Raises: BundleError when it cannot."""
        async with self._turns:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with ours, theirs:
                try:
                    socket.send_fds(self._process, [os.fsencode(folder)], [theirs.fileno()])
                except OSError as error:
                    raise BundleError(
                        f"{folder} cannot be tried ({error.strerror}); start the server again"
                    ) from error
                theirs.close()
                ours.setblocking(False)
                answer = (await asyncio.get_running_loop().sock_recv(ours, _BYTES)).decode()
        digest, _, refusal = answer.partition(" ")
        if refusal or not digest:
            ended = (
                f"{folder} did not answer its golden samples within {self._timeout_s:g} s, or without "
                "ending its process"
            )
            raise BundleError(refusal or ended)
        return digest

    def close(self) -> None:
        """End the process, and trials in progress."""
        self._process.close()
        os.waitpid(self._pid, 0)


def _wait_for_trials(asked: socket.socket, timeout_s: float, memory_mb: int) -> NoReturn:
    """The small process: it ends with its trials when the worker is gone, and keeps no file of it open."""
    os.setpgid(0, 0)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a trial
    os.closerange(3, asked.fileno())
    os.closerange(asked.fileno() + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    with suppress(BaseException):
        while True:
            folder, descriptors, _, _ = socket.recv_fds(asked, _BYTES, 1)
            if not folder:
                break
            if os.fork() == 0:
                _try(Path(os.fsdecode(folder)), descriptors[0], timeout_s, memory_mb)
            os.close(descriptors[0])
    os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _try(folder: Path, answer: int, timeout_s: float, memory_mb: int) -> NoReturn:
    """One trial; the kernel ends it after its time, whatever it does."""
    told = ""
    try:
        signal.setitimer(signal.ITIMER_REAL, timeout_s)
        os.nice(5)
        _limit_memory(memory_mb * 2**20 + MODEL_SIZES * (folder / MODEL_FILE).stat().st_size)
        bundle = read_release(folder)
        Engine(bundle, provider="CPUExecutionProvider", tuning_s=0)
        told = bundle.digests[MANIFEST_FILE]
    except BaseException as error:
        reason = (
            str(error)
            or f"{folder} cannot be opened: {type(error).__name__} (--load-memory-mb is {memory_mb})"
        )
        told = f" {reason[:MAX_TEXT]}"
    finally:
        with suppress(OSError):  # nobody wants to know any more
            os.write(answer, told.encode(errors="replace"))
        os._exit(0)


def _limit_memory(more: int) -> None:
    """Let this process take so many bytes more than it has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    limit = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    with suppress(OSError):  # where /proc is read-only
        Path("/proc/self/oom_score_adj").write_text("1000")
