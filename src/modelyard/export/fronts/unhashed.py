"""Characters -> their bytes in UTF-8, all 1,112,063 of them, without a table: by a hash that can be undone.

onnxruntime has no operator that gives the bytes of a string, but one that hashes strings: MurmurHash3 (32
bits, A. Appleby, public domain). With three NUL after it a character fills exactly the first block of four
bytes, and what follows is NUL, which changes nothing but the length. Each of the hash's steps is a bijection
of 32 bits: done backwards they make the block of the hash. The length, 1 to 4 bytes and 3, is part of it, so
that all four are tried; only one gives UTF-8 of that length, as a test finds for every character.

B batch, W characters. All arithmetic is on int64, of numbers below 2**32.
"""

from __future__ import annotations

from onnx import TensorProto

from modelyard.export.fronts.characters import END
from modelyard.export.fronts.nodes import Nodes, literal

MODULUS = 2**32
AFTER = 3
"""NULs after each character: a block has 4 bytes, and a character has at least 1."""
LENGTHS = (1, 2, 3, 4)
PATTERNS = ((0xFFFFFF80, 0), (0xFFFFC0E0, 0x80C0), (0xFFC0C0F0, 0x8080E0), (0xC0C0C0F8, 0x808080F0))
"""Of UTF-8 by length, the first byte lowest: which bits of a block are given, and what they are."""


def block_bytes(nodes: Nodes, character_BW: str) -> str:
    """Strings of one character each [B, W] -> int64 [B, 4 W], with zeros after those of fewer bytes."""
    block_BW1 = _block(nodes, character_BW)
    byte_BW4 = nodes.add("BitwiseAnd", nodes.add("Div", block_BW1, [1, 2**8, 2**16, 2**24]), 0xFF)
    return nodes.add("Reshape", byte_BW4, [0, -1])


def _block(nodes: Nodes, character_BW: str) -> str:
    """Strings [B, W] -> their four bytes as one number [B, W, 1]; 0 for `END`."""
    filled_BW = nodes.add("StringConcat", character_BW, literal(END * AFTER))
    hash_BW = nodes.add_contrib("MurmurHash3", filled_BW, TensorProto.UINT32, 2, seed=0, positive=1)
    value = nodes.add("Cast", hash_BW, to=TensorProto.INT64)
    value = _shaken_back(nodes, value, 16)
    value = _times(nodes, value, _inverse(0xC2B2AE35))
    value = _shaken_back(nodes, value, 13)
    value = _times(nodes, value, _inverse(0x85EBCA6B))
    value = _shaken_back(nodes, value, 16)
    value = nodes.add("Unsqueeze", value, [2])
    value = nodes.add("BitwiseXor", value, [length + AFTER for length in LENGTHS])  # from here on [B, W, 4]
    value = _times(nodes, nodes.add("Sub", value, 0xE6546B64), _inverse(5))
    value = _turned_back(nodes, value, 13)
    value = _times(nodes, value, _inverse(0x1B873593))
    value = _turned_back(nodes, value, 15)
    value = _times(nodes, value, _inverse(0xCC9E2D51))
    masks, expected = zip(*PATTERNS, strict=True)
    is_encoding_BW4 = nodes.add("Equal", nodes.add("BitwiseAnd", value, masks), expected)
    chosen_BW4 = nodes.add("Mul", value, nodes.add("Cast", is_encoding_BW4, to=TensorProto.INT64))
    return nodes.add("ReduceSum", chosen_BW4, [2], keepdims=1)


def _inverse(factor: int) -> int:
    return pow(factor, -1, MODULUS)


def _times(nodes: Nodes, value: str, factor: int) -> str:
    """Modulo 2**32. The factor is taken between -2**31 and 2**31, so that no product leaves int64."""
    small = (factor + MODULUS // 2) % MODULUS - MODULUS // 2
    return nodes.add("BitwiseAnd", nodes.add("Mul", value, small), MODULUS - 1)


def _shaken_back(nodes: Nodes, value: str, bits: int) -> str:
    """Undoes x ^= x >> bits, where that is 11 or more."""
    source = value
    for shift in range(bits, 32, bits):
        value = nodes.add("BitwiseXor", value, nodes.add("Div", source, 2**shift))
    return value


def _turned_back(nodes: Nodes, value: str, bits: int) -> str:
    """Turns 32 bits to the right."""
    return nodes.add("Add", nodes.add("Div", value, 2**bits), _times(nodes, value, 2 ** (32 - bits)))
