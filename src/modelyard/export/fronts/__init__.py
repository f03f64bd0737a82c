"""What makes a network's input of a graph's, by name of the graph's encoding: `FRONTS` is the only list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import onnx

from modelyard.export.fronts import ids, none, strings, utf8
from modelyard.training.fitted import Build


class Front(Protocol):
    """One way in."""

    def fits(self, build: Build) -> bool:
        """Whether it can make what the model is given."""

    def put(self, build: Build, core: onnx.ModelProto) -> onnx.ModelProto:
        """The whole graph. Raises: ParityError where it would not give what training was given."""


FRONTS: Mapping[str, Front] = {
    "pixels": none, "strings": strings.FRONT, "bytes": utf8.FRONT, "ids": ids.FRONT,
}  # fmt: skip
