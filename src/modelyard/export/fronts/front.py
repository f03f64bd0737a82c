"""What makes symbols of a graph's input, put before the network that torch translated. B batch, L length."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import onnx
from numpy.typing import NDArray

from modelyard.errors import ParityError
from modelyard.export.fronts.nasty import NASTY
from modelyard.export.fronts.nodes import SYMBOLS, Nodes, alone, put_before
from modelyard.inference.session import open_session
from modelyard.samples.ragged import ragged
from modelyard.samples.symbols import Symbols
from modelyard.samples.tensors import Encoding, TensorSpec
from modelyard.samples.text_form import TextForm, padded

if TYPE_CHECKING:
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
        """The whole graph. Raises: ParityError where it makes other symbols of nasty texts than training
        does.
        """
        symbols, form = build.symbols, cast(TextForm, build.form)
        assert symbols is not None
        self.agree(symbols, form, NASTY)
        return put_before(core, *self._made(symbols, form))

    def alone(self, symbols: Symbols, form: TextForm) -> onnx.ModelProto:
        """A graph that ends with the symbols, int32 [B, L]."""
        return alone(*self._made(symbols, form))

    def agree(self, symbols: Symbols, form: TextForm, texts: Sequence[str]) -> None:
        """All together, each alone, and none but empty ones. Raises: ParityError where the graph makes other
        symbols of them than `symbols` does of what counts of them.
        """
        session = open_session(self.alone(symbols, form).SerializeToString())
        for batch in (texts, *([text] for text in texts), ["", ""]):
            cut = [np.frombuffer(text[: form.longest].encode(), np.uint8) for text in batch]
            expected_BL = symbols.encoded(ragged(cut, form, np.uint8))[:]
            raw = self.encoding(form).fed(symbols.files).raw(padded([text.encode() for text in batch]))
            (found_BL,) = session.run([SYMBOLS], {session.get_inputs()[0].name: raw})
            if wrong := _rows_that_differ(expected_BL, found_BL):
                raise ParityError(
                    f"the graph makes other {symbols.alphabet} of {batch[wrong[0]][:40]!r} than training "
                    "does; nothing was registered"
                )

    def _made(self, symbols: Symbols, form: TextForm) -> tuple[Nodes, str, TensorSpec]:
        nodes, (taken,) = Nodes(), self.encoding(form).inputs
        return nodes, self.makers[symbols.alphabet](nodes, taken.name, symbols, form.longest), taken


def _rows_that_differ(some_BL: NDArray[Any], others_BL: NDArray[Any]) -> list[int]:
    """Whatever their padding."""
    longest = max(some_BL.shape[1], others_BL.shape[1])
    wide = [np.pad(rows_BL, ((0, 0), (0, longest - rows_BL.shape[1]))) for rows_BL in (some_BL, others_BL)]
    return [int(row) for row in np.flatnonzero((wide[0] != wide[1]).any(1))]
