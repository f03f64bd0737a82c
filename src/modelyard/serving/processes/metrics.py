"""Counters of all workers in one shared memory: each worker adds to its own part, and each can sum up all
parts.

The counts of a worker that dies stay; the worker that replaces it adds to them.
"""

from __future__ import annotations

import asyncio
import mmap
import time
from bisect import bisect_left

SUCCESS, ROWS, EXECUTIONS, REQUEST_NS, FAILURE_NS = range(5)
QUEUE_NS, INPUT_NS, INFER_NS, OUTPUT_NS, PENDING, LAST_MS = range(5, 11)
FAILURES = 11
"""Index of the first count of failures; there is one for each of `FAILURE_REASONS`."""
FAILURE_REASONS = ("REJECTED", "CANCELED", "BACKEND", "OTHER")
"""Triton's reasons: the queue was too long, the client has gone, the model failed, anything else (most often
a bad request).
"""
_FAILURE_OF = {503: 0, 504: 0, 500: 2}
BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
HISTOGRAM = FAILURES + len(FAILURE_REASONS)
"""Index of the first count of latencies; there is one for each of `BUCKETS_S` and one for longer ones."""
BATCHES = HISTOGRAM + len(BUCKETS_S) + 1
"""Index of the first batch size; each has its size, executions, and nanoseconds of input, infer and output.
"""
BATCH_FIELDS, BATCH_SIZES = 5, 128
FIELDS = BATCHES + BATCH_FIELDS * BATCH_SIZES

BEAT = 0
"""Index of a count that grows while a worker's event loop runs. The fields 1 to 5 count its answers of 1xx to
5xx.
"""
REFUSED = 6
"""Index of the first count of refusals; there is one for each of `REASONS`."""
REFUSALS = {
    400: "bad_input",
    401: "token",
    403: "origin",
    404: "not_found",
    405: "method",
    408: "slow_client",
    413: "too_large",
    414: "too_large",
    415: "bad_input",
    417: "http",
    421: "host",
    431: "too_large",
    500: "fault",
    501: "http",
    503: "busy",
    504: "timeout",
}
"""Status -> why a request was refused; an error may carry another reason."""
REASONS = (*dict.fromkeys(REFUSALS.values()), "connections", "load", "not_ready", "other")
WORKER_FIELDS = 32
NAME_BYTES = 512
RECORDS = 1024
"""Model versions that a worker counts separately; unused records take no memory. The last one counts all
further versions.
"""
RECORD_BYTES = NAME_BYTES + 8 * FIELDS
WORKER_BYTES = 8 * WORKER_FIELDS + RECORDS * RECORD_BYTES
OTHERS = ("other", "0")
PARENT = -1
Totals = dict[tuple[str, str], tuple[list[int], dict[int, list[int]]]]
"""(model, version) -> its counters, and for each batch size executions and nanoseconds of input, infer and
output.
"""


def allocate(workers: int) -> mmap.mmap:
    """Zeroed memory that forked processes share: a part for each worker, and the last for their parent."""
    return mmap.mmap(-1, (workers + 1) * WORKER_BYTES)


def own(memory: mmap.mmap, worker: int) -> memoryview[int]:
    """The int64 counters of a worker, or of `PARENT`, that belong to no model."""
    return memoryview(memory)[worker * WORKER_BYTES :][: 8 * WORKER_FIELDS].cast("q")


def count_refusal(own: memoryview[int], status: int, reason: str = "") -> None:
    """Count a refused request."""
    own[REFUSED + REASONS.index(reason or REFUSALS.get(status, "other"))] += 1


def count_failure(counters: memoryview[int], error: BaseException, duration_ns: int = 0) -> None:
    """Count an inference request without an answer."""
    reason = (
        1 if isinstance(error, asyncio.CancelledError) else _FAILURE_OF.get(getattr(error, "status", 0), 3)
    )
    counters[FAILURES + reason] += 1
    counters[FAILURE_NS] += duration_ns


class WorkerMetrics:
    """One worker's part of the memory."""

    def __init__(self, memory: mmap.mmap, worker: int) -> None:
        self._memory = memoryview(memory)
        self._start = worker * WORKER_BYTES
        self.own = own(memory, worker)
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


class BatchSizes(dict[int, int]):
    """Batch size -> index of its counts. Sizes that appear when all indices are taken share the last one, as
    size 0.
    """

    def __init__(self, counters: memoryview[int]) -> None:
        super().__init__()
        self._counters = counters

    def __missing__(self, size: int) -> int:
        *places, last = range(BATCHES, FIELDS, BATCH_FIELDS)
        at = self[size] = next((at for at in places if self._counters[at] in {0, size}), last)
        self._counters[at] = size if at != last else 0
        return at


class Counted:
    """A context in which one request is counted, whether it is answered, refused or cancelled."""

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
        else:
            count_failure(counters, error, duration_ns)


def totals(memory: mmap.mmap) -> Totals:
    """The counters of each model version, summed over all workers."""
    view = memoryview(memory)
    sums: Totals = {}
    for start in range(0, len(view), WORKER_BYTES):
        for index, key in enumerate(_names(view, start)):
            first = start + 8 * WORKER_FIELDS + index * RECORD_BYTES + NAME_BYTES
            found = view[first : first + 8 * FIELDS].cast("q")
            known, batches = sums.setdefault(key, ([0] * BATCHES, {}))
            _add(known, found[:BATCHES])
            known[LAST_MS] = max(known[LAST_MS] - found[LAST_MS], found[LAST_MS])
            for at in range(BATCHES, FIELDS, BATCH_FIELDS):
                if found[at + 1]:
                    _add(batches.setdefault(found[at], [0] * 4), found[at + 1 : at + BATCH_FIELDS])
    return sums


def _add(known: list[int], more: memoryview[int]) -> None:
    known[:] = [a + b for a, b in zip(known, more, strict=True)]


def _names(view: memoryview[int], start: int) -> list[tuple[str, str]]:
    names: list[tuple[str, str]] = []
    for index in range(RECORDS):
        first = start + 8 * WORKER_FIELDS + index * RECORD_BYTES
        if not view[first]:
            break
        model, _, version = (
            bytes(view[first : first + NAME_BYTES]).rstrip(b"\0").decode(errors="replace").partition("\n")
        )
        names.append((model, version))
    return names
