"""Strings in a graph: into characters, cut, and looked up in a table. B batch, W characters or words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from onnx import TensorProto

from modelyard.export.fronts.nodes import ML, Nodes, literal

END = "\0"
"""No text holds it: put after each, so that none is empty, and padding where another has more characters."""
MOST_COUNTED, COUNTED_AT_ONCE = 2000, 1000
"""Characters that a regular expression counts without running out of memory, and by one of its counters."""
FAR = 2**31 - 1


def ended(nodes: Nodes, texts: str) -> str:
    """Strings [B, 1] -> with `END` [B, 1]."""
    return nodes.add("StringConcat", texts, literal(END))


def characters(nodes: Nodes, texts: str, longest: int) -> str:
    """Strings [B, 1] -> the first characters of each, strings [B, W], W from 1 to `longest`."""
    flat_B = nodes.add("Reshape", ended(nodes, texts), [-1])
    every_BW = _tokens(nodes, flat_B, 2, separators=[""])
    return nodes.add("Slice", every_BW, [0], [longest], [1])


def cut(nodes: Nodes, texts: str, longest: int) -> str:
    """Strings [B, 1] -> as long as `longest` characters at most, with `END` after shorter ones [B, 1]."""
    if longest > MOST_COUNTED:
        return _joined(nodes, characters(nodes, texts, longest), longest)
    counters = longest // COUNTED_AT_ONCE * [COUNTED_AT_ONCE] + [longest % COUNTED_AT_ONCE]
    first = r"\A(?s:" + "".join(f".{{0,{count}}}" for count in counters) + ")"
    cut_B11 = parted(nodes, ended(nodes, texts), first)
    return nodes.add("Squeeze", cut_B11, [2])


def parted(nodes: Nodes, texts: str, expression: str) -> str:
    """Strings [B, 1] -> all that the expression finds in each, in order, strings [B, 1, W]."""
    return _tokens(nodes, texts, 3, tokenexp=expression)


def numbered(nodes: Nodes, strings: str, numbers: Mapping[str, int], unknown: int) -> str:
    """Strings of any shape -> int64, 0 for `END`."""
    every = {END: 0, **numbers}
    return nodes.add(
        "LabelEncoder", strings, domain=ML, keys_strings=list(every), values_int64s=list(every.values()),
        default_int64=unknown,
    )  # fmt: skip


def _tokens(nodes: Nodes, strings: str, rank: int, **by: Any) -> str:
    return nodes.add_contrib(
        "Tokenizer", strings, TensorProto.STRING, rank, mark=0, mincharnum=1, pad_value=END, **by
    )


def _joined(nodes: Nodes, part_BW: str, most: int) -> str:
    """Strings [B, W], W at most `most` -> [B, 1]: neighbours are joined until one is left."""
    rows = nodes.add("Shape", part_BW, start=0, end=1)
    blank_B1 = nodes.add("Expand", literal(""), nodes.add("Concat", rows, [1], axis=0))
    for _ in range(math.ceil(math.log2(most))):
        even_BW = nodes.add("Slice", part_BW, [0], [FAR], [1], [2])
        # of W + 1: as many as even ones, whether W is odd or not
        odd_BW = nodes.add("Slice", nodes.add("Concat", part_BW, blank_B1, axis=1), [1], [FAR], [1], [2])
        part_BW = nodes.add("StringConcat", even_BW, odd_BW)
    return part_BW
