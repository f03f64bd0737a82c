"""How clients send the input of a graph. `INPUTS` is the only list to extend."""

from collections.abc import Callable, Mapping

from modelyard.serving.protocol.inputs.input import Input, Node, Rows, SchemaViolation, offer
from modelyard.serving.protocol.inputs.numbers import Numbers


def _strings() -> type[Input]:
    from modelyard.serving.protocol.inputs.strings import Strings  # only who serves them pays

    return Strings


def _padded() -> type[Input]:
    from modelyard.serving.protocol.inputs.padded import Padded

    return Padded


def _subwords() -> type[Input]:
    from modelyard.serving.protocol.inputs.subwords import Subwords

    return Subwords


INPUTS: Mapping[str, Callable[[], type[Input]]] = {
    "pixels": lambda: Numbers, "strings": _strings, "bytes": _padded, "ids": _subwords,
}  # fmt: skip
"""By the name of the encoding in the signature."""

__all__ = ["INPUTS", "Input", "Node", "Numbers", "Rows", "SchemaViolation", "offer"]
