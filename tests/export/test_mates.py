"""A graph whose answer to a sample depends on its batch is not shipped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from modelyard.data.datasets import Split
from modelyard.errors import ParityError
from modelyard.export.mates import check_mates
from modelyard.samples import TextForm
from modelyard.samples.ragged import ragged
from tests.serving.text_bundles import GOLDEN, Counts, write_text_bundle


def _split(counts: Counts) -> Split:
    rows = [np.frombuffer(text.encode(), np.uint8) for text in GOLDEN]
    return Split(ragged(rows, TextForm(counts.longest), np.uint8), np.zeros(len(rows), np.int64))


@pytest.mark.parametrize("encoding", ["strings", "bytes"])
def test_an_exact_graph_passes(encoding: str, tmp_path: Path) -> None:
    counts = Counts()
    check_mates(write_text_bundle(tmp_path / "exact", counts, encoding=encoding), _split(counts))


@pytest.mark.parametrize("encoding", ["strings", "bytes"])
@pytest.mark.parametrize("what", ["padding", "mates"])
def test_a_graph_that_reads_its_batch_is_refused(encoding: str, what: str, tmp_path: Path) -> None:
    reading = {
        "padding": [helper.make_node("Shape", ["symbols"], ["size"], start=1), *_as_factor("size")],
        "mates": [helper.make_node("ReduceMax", ["raw"], ["size"], keepdims=0), *_as_factor("size")],
    }
    counts = Counts()
    graph = counts.graph(reading[what], encoding=encoding)
    folder = write_text_bundle(tmp_path / what, counts, encoding=encoding, graph=graph)
    with pytest.raises(ParityError, match=r"in a batch of \d+, padded by \d+, .* nothing was registered"):
        check_mates(folder, _split(counts))


def _as_factor(name: str) -> list[onnx.NodeProto]:
    return [
        helper.make_node("Cast", [name], ["factor"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["raw", "factor"], ["logits"]),
    ]
