"""Strings [B, 1] -> symbols [B, L], as `Symbols.encoded` gives them to training, cut at a limit.

B batch, W characters or words, L length.
"""

from __future__ import annotations

from modelyard.export.fronts.characters import characters, cut, numbered, parted
from modelyard.export.fronts.front import SymbolFront
from modelyard.export.fronts.nodes import Nodes
from modelyard.export.fronts.packing import packed
from modelyard.export.fronts.unhashed import block_bytes
from modelyard.samples.symbols import UNKNOWN, Symbols
from modelyard.samples.text_encodings import Strings
from modelyard.samples.words import WORD

ASCII = {chr(code): code for code in range(1, 128)}
ELSE = -1


def _bytes(nodes: Nodes, texts: str, _symbols: Symbols, longest: int) -> str:
    """Where all are ASCII, by a table; else by what takes longer, and is right for every character."""
    character_BW = characters(nodes, texts, longest)
    code_BW = numbered(nodes, character_BW, ASCII, ELSE)
    least = nodes.add("ReduceMin", code_BW, keepdims=0)
    quick, whole = nodes.branch(), nodes.branch()
    return nodes.either(
        nodes.add("Greater", least, ELSE),
        (quick, quick.add("Identity", code_BW)),
        (whole, packed(whole, block_bytes(whole, character_BW))),
    )


def _characters(nodes: Nodes, texts: str, symbols: Symbols, longest: int) -> str:
    return numbered(nodes, characters(nodes, texts, longest), symbols.numbers, UNKNOWN)


def _words(nodes: Nodes, texts: str, symbols: Symbols, longest: int) -> str:
    word_B1W = parted(nodes, cut(nodes, texts, longest), WORD_OR_END)
    return nodes.add("Squeeze", numbered(nodes, word_B1W, symbols.numbers, UNKNOWN), [1])


WORD_OR_END = WORD + r"|\x00"
MAKERS = {"bytes": _bytes, "chars": _characters, "letters": _characters, "words": _words}
FRONT = SymbolFront(Strings, MAKERS)
