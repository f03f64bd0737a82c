"""An engine's self-checks and the queue in front of it, without HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from modelyard.bundle import GOLDEN_FILE, read_bundle
from modelyard.errors import DeviceError, ParityError, RequestError
from modelyard.serving.models.batching import Batcher
from modelyard.serving.models.engine import Engine
from modelyard.serving.processes import metrics
from tests.serving.bundles import (
    CLASSES,
    FORBIDDEN_PIXEL,
    IMAGE_SHAPE,
    Linear,
    centred,
    images,
    quirks,
    reseal,
    slow,
    write_bundle,
)

CPU = "CPUExecutionProvider"
Use = Callable[[Batcher], Coroutine[None, None, None]]


@pytest.fixture
def counters() -> memoryview[int]:
    return metrics.WorkerMetrics(metrics.allocate(1), 0).counters("fruit", "1")


def with_batcher(engine: Engine, counters: memoryview[int], use: Use, queue_s: float = 1.0) -> None:
    async def live() -> None:
        with ThreadPoolExecutor(1) as runner:
            await use(Batcher(engine, counters, runner=runner, queue_s=queue_s))

    asyncio.run(live())


def test_the_engine_reads_its_signature_from_the_graph(tmp_path: Path, linear: Linear) -> None:
    engine = Engine(read_bundle(write_bundle(tmp_path / "b", linear)), provider=CPU)
    assert (engine.input.name, engine.input.datatype, engine.input.row_shape) == (
        "images",
        "UINT8",
        IMAGE_SHAPE,
    )
    assert [(output.name, output.datatype, output.row_shape) for output in engine.outputs] == [
        ("logits", "FP32", (len(CLASSES),)), ("probabilities", "FP32", (len(CLASSES),)),
    ]  # fmt: skip
    assert engine.mergeable and 1 <= engine.row_cap <= 32


def test_more_rows_than_the_cap_go_through_in_pieces(tmp_path: Path, linear: Linear) -> None:
    engine = Engine(read_bundle(write_bundle(tmp_path / "b", linear)), provider=CPU)
    engine.row_cap = 7
    np.testing.assert_allclose(engine.run(images(23))[1], linear.probabilities(images(23)), atol=1e-5)


def test_golden_answers_in_numpys_own_floats_are_taken(tmp_path: Path, linear: Linear) -> None:
    """As bundles made by hand have them."""
    folder, golden_BHWC = write_bundle(tmp_path / "b", linear), images(5, 9)
    probabilities_BK = linear.probabilities(golden_BHWC).astype(np.float64)
    np.savez_compressed(folder / GOLDEN_FILE, images=golden_BHWC, probabilities=probabilities_BK)
    reseal(folder)
    Engine(read_bundle(folder), provider=CPU)


def test_a_provider_that_is_not_there_is_refused(tmp_path: Path, linear: Linear) -> None:
    with pytest.raises(DeviceError, match="onnxruntime has no ROCMExecutionProvider; available: "):
        Engine(read_bundle(write_bundle(tmp_path / "b", linear)), provider="ROCMExecutionProvider")


def test_a_graph_that_answers_otherwise_than_its_golden_samples_is_refused(
    tmp_path: Path, linear: Linear
) -> None:
    folder = write_bundle(tmp_path / "b", linear, graph=Linear.seeded(5).graph())
    with pytest.raises(
        ParityError, match=r"does not give its golden answers within 0\.0001 here; export it again"
    ):
        Engine(read_bundle(folder), provider=CPU)


def test_requests_of_a_model_that_mixes_rows_are_never_merged(
    tmp_path: Path, linear: Linear, counters: memoryview[int]
) -> None:
    folder = write_bundle(
        tmp_path / "b", Linear(linear.weights_PK * 0), graph=linear.graph(centred())
    )  # alone: all logits 0
    engine = Engine(read_bundle(folder), provider=CPU)
    assert not engine.mergeable

    async def ask(batcher: Batcher) -> None:
        answers = await asyncio.gather(
            *[batcher.submit(images(1, seed).tobytes(), 1, 5) for seed in range(5)]
        )
        assert all(np.allclose(probabilities_BK, 0.25) for _, probabilities_BK in answers)

    with_batcher(engine, counters, ask)
    assert counters[metrics.EXECUTIONS] == 5


@pytest.mark.parametrize("inline_rows", [0, 1000], ids=["thread", "inline"])
def test_waiting_requests_are_merged_and_split_by_row(
    tmp_path: Path, linear: Linear, counters: memoryview[int], inline_rows: int
) -> None:
    engine = Engine(read_bundle(write_bundle(tmp_path / "b", linear)), provider=CPU)
    engine.inline_rows, engine.row_cap = inline_rows, 8

    async def ask(batcher: Batcher) -> None:
        parts = [images(1 + seed % 3, seed) for seed in range(12)]
        answers = await asyncio.gather(*[batcher.submit(part.tobytes(), len(part), 5) for part in parts])
        for part, (logits_BK, probabilities_BK) in zip(parts, answers, strict=True):
            np.testing.assert_allclose(logits_BK, linear.logits(part), atol=1e-4)
            np.testing.assert_allclose(probabilities_BK, linear.probabilities(part), atol=1e-5)

    with_batcher(engine, counters, ask)
    assert (counters[metrics.ROWS], counters[metrics.PENDING]) == (24, 0)
    assert 3 <= counters[metrics.EXECUTIONS] < 12
    assert max(counters[metrics.BATCHES :: metrics.BATCH_FIELDS]) <= 8


def test_one_failing_request_spoils_no_other(
    tmp_path: Path, linear: Linear, counters: memoryview[int]
) -> None:
    engine = Engine(
        read_bundle(write_bundle(tmp_path / "b", linear, graph=linear.graph(quirks()))), provider=CPU
    )
    engine.row_cap = 8

    async def ask(batcher: Batcher) -> None:
        parts = [images(1, seed) for seed in range(4)]
        parts[2][:, 0, 0, 0] = FORBIDDEN_PIXEL
        answers = await asyncio.gather(
            *[batcher.submit(part.tobytes(), 1, 5) for part in parts], return_exceptions=True
        )
        failed = answers.pop(2)
        assert (
            isinstance(failed, RequestError)
            and failed.status == 500
            and str(failed).startswith("the model failed: ")
        )
        for part, answer in zip(parts[:2] + parts[3:], answers, strict=True):
            assert not isinstance(answer, BaseException)
            np.testing.assert_allclose(answer[1], linear.probabilities(part), atol=1e-5)

    with_batcher(engine, counters, ask)


def test_the_queue_is_bounded_by_the_wait_and_the_deadline(
    tmp_path: Path, linear: Linear, counters: memoryview[int]
) -> None:
    engine = Engine(
        read_bundle(write_bundle(tmp_path / "b", linear, graph=linear.graph(slow(20)))), provider=CPU
    )
    engine.inline_rows, engine.row_cap, engine.row_seconds = 0, 2, 0.1

    async def ask(batcher: Batcher) -> None:
        given_up = batcher.submit(images(2).tobytes(), 2, 5)
        given_up.cancel()
        kept = [batcher.submit(images(2).tobytes(), 2, 5), batcher.submit(images(2).tobytes(), 2, 0.0)]
        with pytest.raises(RequestError, match="overloaded") as refused:
            batcher.submit(images(2).tobytes(), 2, 5)  # 8 rows are 0.8 s, more than 0.7
        assert refused.value.status == 503
        on_time, late = await asyncio.gather(*kept, return_exceptions=True)
        assert not isinstance(on_time, BaseException)
        assert isinstance(late, RequestError) and late.status == 504

    with_batcher(engine, counters, ask, queue_s=0.7)
    assert (counters[metrics.ROWS], counters[metrics.PENDING]) == (2, 0)


def test_nothing_joins_a_queue_whose_first_has_waited_too_long(
    tmp_path: Path, linear: Linear, counters: memoryview[int]
) -> None:
    engine = Engine(read_bundle(write_bundle(tmp_path / "b", linear)), provider=CPU)
    engine.row_seconds = 1e-6  # by what was measured at the load there is room for thousands

    async def ask(batcher: Batcher) -> None:
        kept = batcher.submit(images(1).tobytes(), 1, 5)
        time.sleep(0.02)  # the loop stands still, as under a model that has become slow
        with pytest.raises(RequestError, match="overloaded"):
            batcher.submit(images(1).tobytes(), 1, 5)
        await kept
        await batcher.submit(images(1).tobytes(), 1, 5)

    with_batcher(engine, counters, ask, queue_s=0.01)
