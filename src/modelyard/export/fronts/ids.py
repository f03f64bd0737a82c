"""Subwords [B, L] as the tokenizer in the bundle makes them: strings become these before the graph."""

from __future__ import annotations

from modelyard.export.fronts.front import SymbolFront
from modelyard.export.fronts.nodes import Nodes
from modelyard.samples.symbols import SUBWORDS, Symbols
from modelyard.samples.text_encodings import Ids


def _as_they_are(_nodes: Nodes, ids_BL: str, _symbols: Symbols, _longest: int) -> str:
    return ids_BL


FRONT = SymbolFront(Ids, {SUBWORDS: _as_they_are})
