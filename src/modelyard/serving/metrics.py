"""Counters of all workers in one shared memory: each worker adds to its own part, any of them can sum up.

A worker that dies leaves its counts behind; the one that takes its place goes on adding to them.
"""

from __future__ import annotations

import mmap
import time
from bisect import bisect_left

from modelyard.errors import RequestError

SUCCESS, FAILURE, ROWS, EXECUTIONS, REQUEST_NS, FAILURE_NS = range(6)
QUEUE_NS, INPUT_NS, INFER_NS, OUTPUT_NS, PENDING, LAST_MS = range(6, 12)
BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
HISTOGRAM = 12
"""First of the latency counts: one for each of `BUCKETS_S` and one above."""
BATCHES = HISTOGRAM + len(BUCKETS_S) + 1
"""First of pairs (executions, nanoseconds), one for each batch size."""
MAX_BATCH = 64
FIELDS = BATCHES + 2 * MAX_BATCH

BEAT = 0
"""Grows while a worker's event loop turns."""
WORKER_FIELDS = 8
NAME_BYTES = 512
RECORDS = 1024
"""Model versions a worker can count apart; untouched ones take no memory. The last counts all that come after."""
RECORD_BYTES = NAME_BYTES + 8 * FIELDS
WORKER_BYTES = 8 * WORKER_FIELDS + RECORDS * RECORD_BYTES
OTHERS = ("other", "0")
Totals = dict[tuple[str, str], list[int]]


def allocate(workers: int) -> mmap.mmap:
    """Zeroed memory that forked processes share."""
    return mmap.mmap(-1, workers * WORKER_BYTES)


class WorkerMetrics:
    """One worker's part of the memory."""

    def __init__(self, memory: mmap.mmap, worker: int) -> None:
        self._memory = memoryview(memory)
        self._start = worker * WORKER_BYTES
        self.own = self._memory[self._start : self._start + 8 * WORKER_FIELDS].cast("q")
        self._known = {key: index for index, key in enumerate(_names(self._memory, self._start))}
        for index in self._known.values():
            self._fields(index)[PENDING] = 0  # what a dead predecessor had pending died with it

    def counters(self, model: str, version: str) -> memoryview[int]:
        """The int64 counters of a model version, indexed by this module's constants."""
        key = (model, version)
        if key not in self._known and len(self._known) >= RECORDS - 1:
            key = OTHERS
        if key not in self._known:
            index = self._known[key] = len(self._known)
            start = self._start + 8 * WORKER_FIELDS + index * RECORD_BYTES
            name = f"{key[0]}\n{key[1]}".encode()[:NAME_BYTES]
            self._memory[start + 1 : start + len(name)] = name[1:]
            self._memory[start] = name[0]  # last: from now on others see the record
        return self._fields(self._known[key])

    def _fields(self, index: int) -> memoryview[int]:
        start = self._start + 8 * WORKER_FIELDS + index * RECORD_BYTES + NAME_BYTES
        return self._memory[start : start + 8 * FIELDS].cast("q")


def beat(memory: mmap.mmap, worker: int) -> int:
    """A worker's own count; it stands still when the worker does."""
    start = worker * WORKER_BYTES
    return memoryview(memory)[start : start + 8 * WORKER_FIELDS].cast("q")[BEAT]


class Counted:
    """Counts the request that is answered, or refused, within it; one that is given up is neither."""

    __slots__ = ("_counters", "_started_ns")

    def __init__(self, counters: memoryview[int]) -> None:
        self._counters = counters

    def __enter__(self) -> None:
        self._started_ns = time.perf_counter_ns()

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        counters, duration_ns = self._counters, time.perf_counter_ns() - self._started_ns
        if error is None:
            counters[SUCCESS] += 1
            counters[REQUEST_NS] += duration_ns
            counters[HISTOGRAM + bisect_left(BUCKETS_S, duration_ns / 1e9)] += 1
        elif isinstance(error, RequestError):
            counters[FAILURE] += 1
            counters[FAILURE_NS] += duration_ns


def totals(memory: mmap.mmap) -> Totals:
    """(model, version) -> counters summed over all workers."""
    view = memoryview(memory)
    sums: Totals = {}
    for start in range(0, len(view), WORKER_BYTES):
        for index, key in enumerate(_names(view, start)):
            first = start + 8 * WORKER_FIELDS + index * RECORD_BYTES + NAME_BYTES
            found = view[first : first + 8 * FIELDS].cast("q")
            known = sums.setdefault(key, [0] * FIELDS)
            known[:] = [a + b for a, b in zip(known, found, strict=True)]
            known[LAST_MS] = max(known[LAST_MS] - found[LAST_MS], found[LAST_MS])
    return sums


def _names(view: memoryview[int], start: int) -> list[tuple[str, str]]:
    names: list[tuple[str, str]] = []
    for index in range(RECORDS):
        first = start + 8 * WORKER_FIELDS + index * RECORD_BYTES
        if not view[first]:
            break
        model, _, version = bytes(view[first : first + NAME_BYTES]).rstrip(b"\0").decode(errors="replace").partition("\n")
        names.append((model, version))
    return names
