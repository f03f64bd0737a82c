"""Batching without a timer: while the model is busy, requests wait, and all that wait are the next batch.

A quick batch runs on the event loop, a slow one on the worker's runner thread; the times were measured when
the model was loaded.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from numpy.typing import NDArray

from modelyard.errors import RequestError
from modelyard.serving.models.engine import Engine
from modelyard.serving.processes import metrics
from modelyard.serving.protocol.inputs import Rows

Outputs = list[NDArray[Any]]


@dataclass(slots=True, eq=False)
class Waiting:
    """A request in the queue."""

    rows: Rows
    num_rows: int
    extent: int
    """How many usual rows each may be worth, so that all count for `num_rows` times this."""
    arrived_ns: int
    deadline_ns: int
    answer: asyncio.Future[Outputs]


class Batcher:
    """The queue in front of one served model version."""

    def __init__(
        self, engine: Engine, counters: memoryview[int], *, runner: Executor, queue_s: float
    ) -> None:
        self.engine = engine
        self.counters = counters
        self._sizes = metrics.BatchSizes(counters)
        self._runner = runner
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Waiting] = deque()
        self._queued = 0
        """In usual rows."""
        self._most_queued = max(1, int(queue_s / engine.row_seconds))
        self._queue_ns = int(queue_s * 1e9)
        self._busy = False

    def submit(self, rows: Rows, num_rows: int, timeout_s: float) -> asyncio.Future[Outputs]:
        """Queue `num_rows` rows; the future gives all outputs for just these rows.

        Raises: RequestError (503) when the wait would be too long.
        """
        now, extent = time.perf_counter_ns(), self.engine.input.extent(rows)
        if self._queue:
            is_late = (
                now - self._queue[0].arrived_ns > self._queue_ns
            )  # the model may be slower than when it was loaded
            if is_late or self._queued + num_rows * extent > self._most_queued:
                raise RequestError("the model is overloaded; try again later", HTTPStatus.SERVICE_UNAVAILABLE)
        answer: asyncio.Future[Outputs] = self._loop.create_future()
        self._queue.append(Waiting(rows, num_rows, extent, now, now + int(timeout_s * 1e9), answer))
        self._queued += num_rows * extent
        self.counters[metrics.PENDING] += 1
        if not self._busy:
            self._busy = True
            self._loop.call_soon(self._next)
        return answer

    def _next(self) -> None:
        """Start the next batch, if requests wait."""
        batch, num_rows, extent = self._take()
        if not batch:
            self._busy = False
        elif num_rows * extent <= self.engine.inline_rows:
            self._deliver(batch, self._compute(batch, num_rows, extent))
            self._loop.call_soon(self._next)
        else:
            self._loop.run_in_executor(
                self._runner, self._compute, batch, num_rows, extent
            ).add_done_callback(lambda done: self._deliver_then_next(batch, done))

    def _deliver_then_next(
        self, batch: list[Waiting], done: asyncio.Future[Sequence[Outputs | Exception]]
    ) -> None:
        self._deliver(batch, done.result())
        self._next()

    def _take(self) -> tuple[list[Waiting], int, int]:
        """Waiting requests up to the row cap, at least one, without the cancelled ones; those that are late
        are answered 504. The longest row makes all of a batch as long.
        """
        batch: list[Waiting] = []
        num_rows, extent, now = 0, 1, time.perf_counter_ns()
        while self._queue and (not batch or self._has_room(num_rows, extent, self._queue[0])):
            waiting = self._queue.popleft()
            self._queued -= waiting.num_rows * waiting.extent
            if waiting.deadline_ns < now or waiting.answer.cancelled():
                self._answer(waiting, RequestError("timed out in the queue", HTTPStatus.GATEWAY_TIMEOUT))
                continue
            num_rows += waiting.num_rows
            extent = max(extent, waiting.extent)
            batch.append(waiting)
        return batch, num_rows, extent

    def _has_room(self, num_rows: int, extent: int, more: Waiting) -> bool:
        worth = (num_rows + more.num_rows) * max(extent, more.extent)
        return worth <= self.engine.row_cap and self.engine.mergeable

    def _compute(self, batch: list[Waiting], num_rows: int, extent: int) -> Sequence[Outputs | Exception]:
        """The answer to each request. When a batch fails, each request is run alone, so that a bad one does
        not spoil the others.
        """
        try:
            return self._run(batch, num_rows, extent)
        except Exception as error:  # onnxruntime's errors have no common base
            if len(batch) == 1:
                return [RequestError(f"the model failed: {error}", HTTPStatus.INTERNAL_SERVER_ERROR)]
            return [self._compute([waiting], waiting.num_rows, waiting.extent)[0] for waiting in batch]

    def _run(self, batch: list[Waiting], num_rows: int, extent: int) -> list[Outputs]:
        started = time.perf_counter_ns()
        rows = self.engine.input.batch([waiting.rows for waiting in batch], num_rows)
        assembled = time.perf_counter_ns()
        outputs = self.engine.run(rows, extent)
        computed = time.perf_counter_ns()
        answers = [outputs] if len(batch) == 1 else _split(outputs, batch)
        self._count(batch, num_rows, (started, assembled, computed, time.perf_counter_ns()))
        return answers

    def _count(self, batch: list[Waiting], num_rows: int, times_ns: tuple[int, int, int, int]) -> None:
        started, assembled, computed, split = times_ns
        counters, requests = self.counters, len(batch)
        counters[metrics.ROWS] += num_rows
        counters[metrics.EXECUTIONS] += 1
        counters[metrics.QUEUE_NS] += requests * started - sum([waiting.arrived_ns for waiting in batch])
        counters[metrics.INPUT_NS] += requests * (assembled - started)
        counters[metrics.INFER_NS] += requests * (computed - assembled)
        counters[metrics.OUTPUT_NS] += requests * (split - computed)
        counters[metrics.LAST_MS] = time.time_ns() // 1_000_000
        at = self._sizes[num_rows]
        counters[at + 1] += 1
        counters[at + 2] += assembled - started
        counters[at + 3] += computed - assembled
        counters[at + 4] += split - computed

    def _deliver(self, batch: list[Waiting], answers: Sequence[Outputs | Exception]) -> None:
        for waiting, answer in zip(batch, answers, strict=True):
            self._answer(waiting, answer)

    def _answer(self, waiting: Waiting, answer: Outputs | Exception) -> None:
        self.counters[metrics.PENDING] -= 1
        if waiting.answer.done():
            return
        if isinstance(answer, Exception):
            waiting.answer.set_exception(answer)
        else:
            waiting.answer.set_result(answer)


def _split(outputs: Outputs, batch: list[Waiting]) -> list[Outputs]:
    """Each request's own rows of every output."""
    answers: list[Outputs] = []
    start = 0
    for waiting in batch:
        end = start + waiting.num_rows
        answers.append([output[start:end] for output in outputs])
        start = end
    return answers
