"""An engine of texts and the queue before it, without HTTP: a batch costs what its longest row makes it."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper

from modelyard.bundle import read_bundle
from modelyard.errors import BundleError, ParityError
from modelyard.serving.models.batching import Batcher, Outputs
from modelyard.serving.models.engine import Engine
from modelyard.serving.processes import metrics
from modelyard.serving.protocol.inputs.varying import Varying
from tests.serving.text_bundles import FRONTS, Counts, write_text_bundle

CPU = "CPUExecutionProvider"
COUNTS = Counts()
ROWS = ("dad", "", "c" * 64, "ab", "b" * 63, "a" * 30) * 5


def engine_of(folder: Path, encoding: str = "strings", **bundle: object) -> tuple[Engine, Any]:
    made = Engine(
        read_bundle(write_text_bundle(folder / "b", COUNTS, encoding=encoding, **bundle)),  # type: ignore[arg-type]
        provider=CPU,
    )
    assert isinstance(made.input, Varying)
    return made, made.input


@pytest.mark.parametrize("encoding", FRONTS)
@pytest.mark.parametrize("cap", [1, 3, 32])
def test_pieces_by_length_come_back_in_order(tmp_path: Path, encoding: str, cap: int) -> None:
    engine, spec = engine_of(tmp_path, encoding)
    engine.row_cap = cap
    rows = spec.of_strings([*ROWS])
    batch = spec.batch([rows], len(rows))
    pieces, _ = spec.pieces(batch, cap)
    for piece in pieces:
        worth = len(piece) * max(1, -(-int(spec.lengths(piece).max()) // spec.typical))
        assert worth <= cap or len(piece) == 1
    found = engine.run(batch, spec.extent(rows))
    np.testing.assert_allclose(found[1], COUNTS.probabilities(ROWS), atol=1e-5)


@pytest.mark.parametrize("encoding", FRONTS)
def test_usual_is_as_long_as_nine_of_ten_golden_rows(tmp_path: Path, encoding: str) -> None:
    engine, spec = engine_of(tmp_path, encoding, golden=["ab"] * 9 + ["c" * 60])
    assert (spec.typical, engine.mergeable) == (2, True)
    extents = [spec.extent(spec.of_strings(rows)) for rows in ([""], ["ab"], ["abc"], ["a", "c" * 60])]
    assert extents == [1, 1, 2, 30]


@pytest.mark.parametrize("encoding", FRONTS)
def test_a_long_text_waits_with_few_others(tmp_path: Path, encoding: str) -> None:
    """Short ones of a batch would all become as long."""
    engine, spec = engine_of(tmp_path, encoding, golden=["abab"] * 8)
    engine.row_cap, engine.inline_rows = 16, 0
    worths: list[int] = []
    counters = metrics.WorkerMetrics(metrics.allocate(1), 0).counters("letters", "1")

    def run(rows: NDArray[Any], extent: int = 1) -> Outputs:
        worths.append(len(rows) * extent)
        return Engine.run(engine, rows, extent)

    async def ask() -> None:
        with ThreadPoolExecutor(1) as runner:
            batcher = Batcher(engine, counters, runner=runner, queue_s=10)
            parts = [spec.of_strings([text]) for text in ROWS]
            answers = await asyncio.gather(*[batcher.submit(part, 1, 5) for part in parts])
            found = np.concatenate([probabilities for _, probabilities in answers])
            np.testing.assert_allclose(found, COUNTS.probabilities(ROWS), atol=1e-5)

    engine.run = run  # type: ignore[method-assign]
    asyncio.run(ask())
    assert max(worths) <= 16 and len(worths) < len(ROWS)
    assert counters[metrics.ROWS] == len(ROWS)


def padding_counts() -> list[onnx.NodeProto]:
    """Logits that depend on how long the longest of a batch is."""
    make = helper.make_node
    return [
        make("Shape", ["read"], ["extents"]),
        make("Gather", ["extents", "one"], ["length"]),
        make("Cast", ["length"], ["more"], to=1),
        make("Mul", ["raw", "more"], ["logits"]),
    ]


def test_a_model_whose_answers_depend_on_padding_is_never_merged(tmp_path: Path) -> None:
    """Alone each of these texts has its right answer; its mates would make it as long as they are."""
    engine, _ = engine_of(tmp_path, golden=("d", "nnnn", "c"), graph=COUNTS.graph(padding_counts()))
    assert not engine.mergeable
    with pytest.raises(ParityError):  # there even the zeros that it is kept with
        engine_of(
            tmp_path / "padded", "bytes", golden=("d", "nnnn"),
            graph=COUNTS.graph(padding_counts(), encoding="bytes"),
        )  # fmt: skip


@pytest.mark.parametrize(("encoding", "other"), [("strings", "bytes"), ("bytes", "strings")])
def test_a_graph_of_another_encoding_than_its_manifest_says_is_refused(
    tmp_path: Path, encoding: str, other: str
) -> None:
    folder = write_text_bundle(tmp_path / "b", COUNTS, encoding=encoding, graph=COUNTS.graph(encoding=other))
    with pytest.raises(
        BundleError, match=r"tensor '(texts|bytes)' is .*; expected (strings|bytes) \[batch, "
    ):
        Engine(read_bundle(folder), provider=CPU)
