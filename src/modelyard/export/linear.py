"""The linear model as a graph of stock operators: strings in, calibrated probabilities out.

Only the terms that occur are computed with, however many there are: they are sorted, counted, and their rows
of the weights are gathered. B batch, W symbols, M terms of a sample and zeros after them, F terms, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from modelyard.data.datasets import Split
from modelyard.evaluation.calibration import softmax
from modelyard.export.fronts.nasty import NASTY
from modelyard.export.fronts.nodes import ML, Nodes, whole
from modelyard.export.fronts.strings import FRONT, MAKERS
from modelyard.export.onnx import write_onnx
from modelyard.samples.signature import Signature
from modelyard.samples.symbols import FIRST
from modelyard.samples.text_encodings import Strings
from modelyard.training.linear_fitted import LinearFitted, share_of
from modelyard.training.terms import Terms


class LinearDeployed:
    """TF-IDF and planes, over the temperature."""

    encodings: tuple[str, ...] = (Strings.name,)
    library = "scikit-learn"

    def __init__(self, fitted: LinearFitted, temperature: float) -> None:
        self._fitted, self._temperature = fitted, temperature

    def write(self, path: Path, signature: Signature, metadata: dict[str, str], _kept: Path | None) -> None:
        """Raises: ParityError where a graph makes other symbols than training does."""
        write_onnx(graph_of(self._fitted, self._temperature, signature), path, metadata)

    def probabilities(self, split: Split) -> NDArray[np.float32]:
        """As scikit-learn computes them [B, K]."""
        return softmax(self._fitted.logits(split), self._temperature).astype(np.float32)

    def calls(self, split: Split) -> Mapping[int, Callable[[], object]]:
        """scikit-learn's, which has one thread."""
        return {1: partial(self.probabilities, split)}


def graph_of(fitted: LinearFitted, temperature: float, signature: Signature) -> onnx.ModelProto:
    """The whole graph. Raises: ParityError where it would make other symbols of nasty texts than training."""
    nodes, taken, longest, before = Nodes(), signature.input, signature.form.longest, 0
    planes = fitted.planes
    logits_BK = ""
    for block in fitted.blocks:
        symbols, after = block.terms.symbols, before + len(block.terms)
        FRONT.agree(symbols, signature.form, NASTY)
        symbols_BW = MAKERS[symbols.alphabet](nodes, taken.name, symbols, longest)
        values_BM, terms_BM = _values(nodes, _terms(nodes, block.terms, symbols_BW), block.idf_F)
        weights_FK = planes.weights_KF[:, before:after].T * (share_of(len(fitted.blocks)) / temperature)
        score_BK = _products(nodes, values_BM, terms_BM, weights_FK)
        logits_BK = nodes.add("Add", logits_BK, score_BK) if logits_BK else score_BK
        before = after
    logits_BK = nodes.add("Add", logits_BK, (planes.biases_K / temperature).astype(np.float32))
    answers = (logits_BK, nodes.add("Softmax", logits_BK, axis=1))
    return whole(nodes, answers, taken, signature.outputs)


def _terms(nodes: Nodes, terms: Terms, symbols_BW: str) -> str:
    """All terms of each text, each as often as it occurs, int64 [B, M]; 0 is none."""
    first_BW = nodes.add("Max", nodes.add("Sub", symbols_BW, [FIRST - 1]), [0])
    before_BW, found = first_BW, [first_BW]
    for keys, start in terms.levels:
        moved_BW = nodes.add("Pad", before_BW, [0, 1, 0, -1])  # each beside the symbol after it
        key_BW = nodes.add("Add", nodes.add("Mul", moved_BW, [terms.base]), first_BW)
        before_BW = nodes.add(
            "LabelEncoder", key_BW, domain=ML, default_int64=0, keys_int64s=[0, *keys.tolist()],
            values_int64s=[0, *range(start + 1, start + 1 + len(keys))],
        )  # fmt: skip
        found.append(before_BW)
    return nodes.add("Concat", *found, axis=1)


def _values(nodes: Nodes, terms_BM: str, idf_F: NDArray[np.float64]) -> tuple[str, str]:
    """TF-IDF float32 [B, M] of the different terms of each text, int64 [B, M]; 0 after them."""
    shape = nodes.add("Shape", terms_BM)
    sorted_BM = nodes.add_first("TopK", terms_BM, nodes.add("Shape", terms_BM, start=1, end=2), of=2, axis=1)
    is_same_BM = nodes.add("Equal", sorted_BM, nodes.add("Pad", sorted_BM, [0, 1, 0, -1], -1))
    is_new_BM = nodes.add("Cast", nodes.add("Not", is_same_BM), to=TensorProto.INT64)
    place_BM = nodes.add("Sub", nodes.add("CumSum", is_new_BM, 1), [1])
    none_BM, one_BM, zero_BM = (
        nodes.add("ConstantOfShape", shape, value=numpy_helper.from_array(np.array([value])))
        for value in (np.int64(0), np.float32(1), np.float32(0))
    )
    into = {"axis": 1, "reduction": "max"}
    different_BM = nodes.add("ScatterElements", none_BM, place_BM, sorted_BM, **into)
    count_BM = nodes.add("ScatterElements", zero_BM, place_BM, one_BM, **into | {"reduction": "add"})
    dampened_BM = nodes.add("Add", nodes.add("Log", nodes.add("Max", count_BM, _one(1))), _one(1))
    idf_BM = nodes.add("Gather", np.concatenate([[0], idf_F]).astype(np.float32), different_BM)
    value_BM = nodes.add("Mul", dampened_BM, idf_BM)
    length_B1 = nodes.add("ReduceL2", value_BM, [1], keepdims=1)
    return nodes.add(
        "Div", value_BM, nodes.add("Max", length_B1, _one(float(np.finfo(np.float32).tiny)))
    ), different_BM


def _products(nodes: Nodes, values_BM: str, terms_BM: str, weights_FK: NDArray[np.float64]) -> str:
    """With the weights of those terms alone, float32 [B, K]."""
    rows = np.concatenate([np.zeros_like(weights_FK[:1]), weights_FK]).astype(np.float32)
    weights_BMK = nodes.add("Gather", rows, terms_BM)
    product_B1K = nodes.add("MatMul", nodes.add("Unsqueeze", values_BM, [1]), weights_BMK)
    return nodes.add("Squeeze", product_B1K, [1])


def _one(value: float) -> NDArray[np.float32]:
    return np.array([value], np.float32)
