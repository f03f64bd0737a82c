"""Texts: a network is given symbols, which a front (`export/fronts`) makes of what the graph takes.

B batch, L length.
"""

from __future__ import annotations

from torch import Tensor

from modelyard.export.cores.core import Core
from modelyard.samples import TextForm

KIND = TextForm.kind
NAME, LENGTH = "symbols", "length"


def core(form: TextForm) -> Core:
    """int32 [B, L] in, both free."""
    (example,) = form.network_inputs(2)
    return Core(NAME, example, prepared, ((1, LENGTH, form.values),))


def prepared(symbols_BL: Tensor) -> Tensor:
    """As they are."""
    return symbols_BL
