"""Bytes in UTF-8, uint8 [B, L] padded with zeros -> symbols, as `Symbols.encoded` gives them to training.

No strings, and only operators of ONNX itself: for GPUs, TensorRT and browsers. B batch, L length in bytes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from modelyard.export.fronts.front import SymbolFront
from modelyard.export.fronts.nodes import Nodes
from modelyard.export.fronts.packing import packed
from modelyard.samples.symbols import UNKNOWN, Symbols
from modelyard.samples.text_encodings import RawBytes
from modelyard.samples.text_form import BYTES_A_CHARACTER

FIRST_BYTES = (0x01, 0x80), (0xC0, 0xE0), (0xE0, 0xF0), (0xF0, 0xF8)
"""Of a character of one byte, of two, three and four: the lowest, and the one after the highest."""
PAGE = 256
PAGES = 2**21 // PAGE
"""Of a table of characters: as many as four bytes can ask for, UTF-8 or not."""


def _bytes(nodes: Nodes, content: str, _symbols: Symbols, longest: int) -> str:
    """As they are, but those after the last character that counts."""
    byte_BL = _cut(nodes, content, longest)
    begins_BL = nodes.add("Gather", _heads()[0], byte_BL)
    is_counted_BL = nodes.add("LessOrEqual", nodes.add("CumSum", begins_BL, 1), longest)
    return nodes.add("Where", is_counted_BL, byte_BL, 0)


def _characters(nodes: Nodes, content: str, symbols: Symbols, longest: int) -> str:
    """The number of each character where its first byte is, elsewhere 0; then moved together."""
    byte_BL = _cut(nodes, content, longest)
    begins_BL, code_BL, unit_BL = (nodes.add("Gather", table, byte_BL) for table in _heads())
    ahead_BL3 = nodes.add("Pad", byte_BL, [0, 0, 0, BYTES_A_CHARACTER - 1])
    length = nodes.add("Shape", byte_BL, start=1, end=2)
    for place in range(1, BYTES_A_CHARACTER):
        next_BL = nodes.add("Slice", ahead_BL3, [place], nodes.add("Add", length, [place]), [1])
        bits_BL = nodes.add("BitwiseAnd", next_BL, 0x3F)
        code_BL = nodes.add("Add", code_BL, nodes.add("Mul", bits_BL, 64 ** (BYTES_A_CHARACTER - 1 - place)))
    number_BL = _looked_up(nodes, nodes.add("Div", code_BL, unit_BL), symbols)
    return nodes.add("Slice", packed(nodes, nodes.add("Mul", number_BL, begins_BL)), [0], [longest], [1])


def _heads() -> list[NDArray[np.int64]]:
    """Tables of the 256 bytes: whether one begins a character (1 or 0); which bits it has of the character's
    number, where four bytes have them; the lowest bit of that number there.
    """
    begins, bits, unit = np.zeros(256, np.int64), np.zeros(256, np.int64), np.ones(256, np.int64)
    for size, (first, end) in enumerate(FIRST_BYTES, 1):
        begins[first:end] = 1
        bits[first:end] = (np.arange(first, end) & (0x7F if size == 1 else 0x7F >> size)) * 64**3
        unit[first:end] = 64 ** (BYTES_A_CHARACTER - size)
    return [begins, bits, unit]


def _looked_up(nodes: Nodes, code_BL: str, symbols: Symbols) -> str:
    """Numbers of characters -> of symbols: the table has pages, and all that are empty are one."""
    every = {ord(spelling): number for spelling, number in symbols.numbers.items()}
    used = sorted({code // PAGE for code in every})
    page_of_P = np.zeros(PAGES, np.int64)
    page_of_P[used] = np.arange(1, len(used) + 1) * PAGE
    number_T = np.full((len(used) + 1) * PAGE, UNKNOWN, np.int64)
    for code, number in every.items():
        number_T[page_of_P[code // PAGE] + code % PAGE] = number
    page_BL = nodes.add("Gather", page_of_P, nodes.add("Div", code_BL, PAGE))
    return nodes.add(
        "Gather", number_T, nodes.add("Add", page_BL, nodes.add("BitwiseAnd", code_BL, PAGE - 1))
    )


def _cut(nodes: Nodes, content: str, longest: int) -> str:
    """No more bytes than the longest text may have, and one more column, so that there is one; int64."""
    short_BL = nodes.add("Slice", content, [0], [BYTES_A_CHARACTER * longest], [1])
    return nodes.add("Pad", nodes.add("Cast", short_BL, to=TensorProto.INT64), [0, 0, 0, 1])


FRONT = SymbolFront(RawBytes, {"bytes": _bytes, "chars": _characters})
