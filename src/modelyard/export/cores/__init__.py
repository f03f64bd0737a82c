"""The part of a graph that torch translates, by kind of sample: `CORES` is the only list to extend."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from modelyard.export.cores import pixels, symbols
from modelyard.export.cores.core import Core
from modelyard.samples import Form

CORES: Mapping[str, Callable[[Form], Core]] = {pixels.KIND: pixels.core, symbols.KIND: symbols.core}


def core_of(form: Form) -> Core:
    """For samples that a network is given as `form`."""
    return CORES[form.kind](form)
