"""How clients send the input of a graph. `INPUTS` is the only list to extend."""

from collections.abc import Mapping

from modelyard.serving.protocol.inputs.input import Input, Node, Rows, SchemaViolation
from modelyard.serving.protocol.inputs.numbers import Numbers
from modelyard.serving.protocol.inputs.padded import Padded
from modelyard.serving.protocol.inputs.strings import Strings

INPUTS: Mapping[str, type[Input]] = {"pixels": Numbers, "strings": Strings, "bytes": Padded}
"""By the name of the encoding in the signature."""

__all__ = ["INPUTS", "Input", "Node", "Numbers", "Padded", "Rows", "SchemaViolation", "Strings"]
