"""Hostile graphs and golden samples, sealed as if they were right."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.hostility.files import Situation, Spoil
from tests.serving.bundles import Linear, reseal

Arrays = dict[str, np.ndarray[Any, Any]]


def _graph(model: onnx.ModelProto) -> Spoil:
    def spoil(folder: Path) -> None:
        onnx.save(model, folder / "1" / "model.onnx")
        reseal(folder / "1")

    return spoil


def _loop(times: int) -> onnx.ModelProto:
    """A graph that counts to `times` before it answers."""
    make = helper.make_node
    value = helper.make_tensor_value_info
    given = [
        value("n", TensorProto.INT64, []),
        value("go", TensorProto.BOOL, []),
        value("sum", TensorProto.FLOAT, None),
    ]
    made = [value("go_on", TensorProto.BOOL, []), value("more", TensorProto.FLOAT, None)]
    steps = [make("Identity", ["go"], ["go_on"]), make("Add", ["sum", "sum"], ["more"])]
    inner = helper.make_graph(steps, "body", given, made)
    nodes = [
        make("Constant", [], ["times"], value=numpy_helper.from_array(np.asarray(times))),
        make("Constant", [], ["yes"], value=numpy_helper.from_array(np.asarray(True))),
        make("Loop", ["times", "yes", "raw"], ["logits"], body=inner),
    ]
    return Linear.seeded(1).graph(nodes)


def _large(extents: list[int]) -> onnx.ModelProto:
    """A graph that makes a constant of this shape before it answers."""
    make = helper.make_node
    return Linear.seeded(1).graph(
        [
            make("Constant", [], ["extents"], value_ints=extents),
            make("ConstantOfShape", ["extents"], ["large"]),
            make("ReduceSum", ["large"], ["total"], keepdims=0),
            make("Add", ["raw", "total"], ["logits"]),
        ]
    )


def _golden(arrays: Arrays) -> Spoil:
    def spoil(folder: Path) -> None:
        np.savez_compressed(folder / "1" / "golden.npz", allow_pickle=True, **arrays)
        reseal(folder / "1")

    return spoil


def _golden_bomb(folder: Path) -> None:
    """3 GB of zeros in 3 MB."""
    with zipfile.ZipFile(folder / "1" / "golden.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("images", "probabilities"):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array_header_1_0(
                    member, {"descr": "|u1", "fortran_order": False, "shape": (10**8, 3, 5, 2)}
                )
                for _ in range(150):
                    member.write(bytes(10_000_000))
    reseal(folder / "1")


def graphs() -> Iterator[Situation]:
    """Of the model."""
    linear = Linear.seeded(1)
    unknown = linear.graph([helper.make_node("Nope", ["raw"], ["logits"])])
    found = {
        "2^62 turns": _loop(2**62),
        "3 GB": _large([750_000_000]),
        "40 GB": _large([10_000_000_000]),
        "another input": linear.graph(input="pictures"),
        "three classes": linear.graph(classes=3),
        "one row": linear.graph(rows=1),
        "other answers": Linear.seeded(3).graph(),
        "an unknown operator": unknown,
    }
    for what, model in found.items():
        yield Situation(f"graph: {what}", _graph(model))


def golden_samples() -> Iterator[Situation]:
    right: Arrays = {
        "images": np.zeros((2, 3, 5, 2), np.uint8),
        "probabilities": np.full((2, 4), 0.25, np.float32),
    }
    changes: dict[str, Arrays] = {
        "other answers": {"probabilities": np.eye(4, dtype=np.float32)[:2]},
        "objects": {"images": np.array([{}], object)},
        "no rows": {"images": right["images"][:0]},
        "NaN": {"probabilities": np.full((2, 4), np.nan, np.float32)},
        "a scalar": {"images": np.ones((), np.uint8)},
        "text": {"images": np.array(["x" * 1000])},
        "another shape": {"images": np.zeros((2, 9, 9, 1), np.uint8)},
        "a million rows": {"images": np.zeros((10**6, 3, 5, 2), np.uint8)},
    }
    for what, arrays in changes.items():
        yield Situation(f"golden: {what}", _golden(right | arrays))
    yield Situation("golden: without answers", _golden({"images": right["images"]}))
    yield Situation("golden: a bomb of 3 GB", _golden_bomb)
