"""What makes symbols of a graph's input, put before the network that torch translated. B batch, L length."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx

from modelyard.errors import ParityError
from modelyard.export.fronts.nasty import NASTY
from modelyard.export.fronts.nodes import SYMBOLS, Nodes, alone, put_before
from modelyard.inference.session import open_session
from modelyard.samples.ragged import ragged
from modelyard.samples.symbols import Symbols
from modelyard.samples.tensors import Encoding, TensorSpec
from modelyard.samples.text import text_of
from modelyard.samples.text_form import TextForm, padded

if TYPE_CHECKING:
    from modelyard.data.datasets import Split
    from modelyard.training.fitted import Build

Maker = Callable[[Nodes, str, Symbols, int], str]
"""Adds nodes: name of the graph's input, what symbols are, characters that count -> name of int64 [B, L]."""


@dataclass(frozen=True, slots=True)
class SymbolFront:
    """One way in."""

    encoding: Callable[[TextForm], Encoding]
    makers: Mapping[str, Maker]
    """By alphabet."""

    def fits(self, build: Build) -> bool:
        """Whether it can make what the model is given."""
        return build.symbols is not None and build.symbols.alphabet in self.makers

    def put(self, build: Build, core: onnx.ModelProto) -> onnx.ModelProto:
        """The whole graph."""
        assert build.symbols is not None
        return put_before(core, *self._made(build.symbols, build.form))

    def check(self, build: Build, few: Split) -> None:
        """Raises: ParityError where it makes others of these texts, or of nasty ones, than training does."""
        assert build.symbols is not None
        self.agree(build.symbols, build.form, [text_of(row_L) for row_L in few.in_memory])

    def alone(self, symbols: Symbols, form: TextForm) -> onnx.ModelProto:
        """A graph that ends with the symbols, int32 [B, L]."""
        return alone(*self._made(symbols, form))

    def agree(self, symbols: Symbols, form: TextForm, texts: Sequence[str]) -> None:
        """Raises: ParityError where it makes others of these texts, or of nasty ones, than `symbols` does."""
        session, encoding = open_session(self.alone(symbols, form).SerializeToString()), self.encoding(form)
        (taken,) = encoding.inputs
        for batch in (texts, NASTY, *([text] for text in NASTY), ["", ""]):
            stored = [np.frombuffer(text[: form.longest].encode(), np.uint8) for text in batch]
            expected = symbols.encoded(ragged(stored, form, np.uint8))
            raw = encoding.raw(padded([text.encode() for text in batch]))
            (found_BL,) = session.run([SYMBOLS], {taken.name: raw})
            for row, text in enumerate(batch):
                one_L = expected[row : row + 1][0]
                length = len(np.trim_zeros(one_L, "b"))
                if not np.array_equal(found_BL[row, :length], one_L[:length]) or found_BL[row, length:].any():
                    raise ParityError(
                        f"the graph makes other {symbols.alphabet} of {text[:40]!r} than training does; "
                        "nothing was registered"
                    )

    def _made(self, symbols: Symbols, form: TextForm) -> tuple[Nodes, str, TensorSpec]:
        nodes, (taken,) = Nodes(), self.encoding(form).inputs
        return nodes, self.makers[symbols.alphabet](nodes, taken.name, symbols, form.longest), taken
