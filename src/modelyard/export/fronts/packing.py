"""Rows whose zeros stand anywhere -> rows that are padded at their end. B batch, W width, L length."""

from __future__ import annotations

from onnx import TensorProto

from modelyard.export.fronts.nodes import Nodes


def packed(nodes: Nodes, wide_BW: str) -> str:
    """int64 [B, W], W at least 1 -> [B, L], L what the fullest row holds, and at least 1."""
    is_there_BW = nodes.add("Cast", wide_BW, to=TensorProto.BOOL)
    count_BW = nodes.add("CumSum", nodes.add("Cast", is_there_BW, to=TensorProto.INT64), 1)
    length = nodes.add("Max", nodes.add("ReduceMax", count_BW, keepdims=0), 1)
    # zeros all go to one more column, which is cut off
    place_BW = nodes.add("Where", is_there_BW, nodes.add("Sub", count_BW, 1), length)
    rows = nodes.add("Shape", wide_BW, start=0, end=1)
    end = nodes.add("Unsqueeze", length, [0])
    empty_BL1 = nodes.add("Expand", 0, nodes.add("Concat", rows, nodes.add("Add", end, 1), axis=0))
    filled_BL1 = nodes.add("ScatterElements", empty_BL1, place_BW, wide_BW, axis=1)
    return nodes.add("Slice", filled_BL1, [0], end, [1])
