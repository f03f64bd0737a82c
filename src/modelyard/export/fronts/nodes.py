"""Graphs of stock operators, grown node by node, and put before the one that torch translated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from modelyard.samples.names import BATCH
from modelyard.samples.tensors import TensorSpec

SYMBOLS, LENGTH = "symbols", "length"
"""What every front makes, int32, and the name of its free axis beside the batch."""
CONTRIB, ML = "com.microsoft", "ai.onnx.ml"
"""Domains of operators; onnxruntime has both in every build for CPUs."""
OPSETS = {"": 20, ML: 4, CONTRIB: 1}
IR_VERSION = 10
TYPES = {
    "str": TensorProto.STRING,
    "uint8": TensorProto.UINT8,
    "int64": TensorProto.INT64,
    "float32": TensorProto.FLOAT,
}

Given = str | int | Sequence[int] | NDArray[Any]
"""An input of a node: the name of another's output, or a constant; numbers are int64."""


@dataclass(slots=True)
class Nodes:
    """In order. Names begin with `front/`, which no name that torch writes does."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    declared: list[onnx.ValueInfoProto] = field(default_factory=list)
    """What operators make of which ONNX's checker knows nothing: it dies of a LabelEncoder of such."""
    names: list[str] = field(default_factory=list)
    """All that were given out, those of branches among them."""

    def add(self, operator: str, *inputs: Given, **attributes: Any) -> str:
        """The name of its output."""
        taken = [given if isinstance(given, str) else self._constant(given) for given in inputs]
        made = self._name(operator)
        self.nodes.append(helper.make_node(operator, taken, [made], made, **attributes))
        return made

    def add_first(self, operator: str, *inputs: Given, of: int, **attributes: Any) -> str:
        """The name of the first of so many outputs."""
        made = self.add(operator, *inputs, **attributes)
        self.nodes[-1].output.extend(self._name(operator) for _ in range(1, of))
        return made

    def add_contrib(self, operator: str, given: str, makes: int, rank: int, **attributes: Any) -> str:
        """The name of its output, of that type and rank."""
        made = self.add(operator, given, domain=CONTRIB, **attributes)
        self.declared.append(helper.make_tensor_value_info(made, makes, [None] * rank))
        return made

    def branch(self) -> Nodes:
        """Of an If: it has nodes of its own, and sees all that comes before it."""
        return replace(self, nodes=[])

    def either(self, condition: str, then: tuple[Nodes, str], otherwise: tuple[Nodes, str]) -> str:
        """What one of two branches of int64 [B, L] makes."""
        graphs = {
            name: helper.make_graph(
                branch.nodes,
                name,
                [],
                [helper.make_tensor_value_info(made, TensorProto.INT64, [BATCH, LENGTH])],
            )
            for name, (branch, made) in (("then_branch", then), ("else_branch", otherwise))
        }
        return self.add("If", condition, **graphs)

    def _constant(self, value: int | Sequence[int] | NDArray[Any]) -> str:
        name = self._name("constant")
        array = value if isinstance(value, np.ndarray) else np.array(value, np.int64)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def _name(self, what: str) -> str:
        self.names.append(f"front/{len(self.names)}/{what}")
        return self.names[-1]


def literal(value: str) -> NDArray[Any]:
    """A string as a constant [1]."""
    return np.array([value], object)


def put_before(core: onnx.ModelProto, front: Nodes, made: str, taken: TensorSpec) -> onnx.ModelProto:
    """The whole graph: `taken` in, made by `front` into the input of `core`, its answers out."""
    nodes = [*front.nodes, _as_symbols(made), *core.graph.node]
    graph = helper.make_graph(
        nodes, core.graph.name or "graph", [_value_info(taken)], list(core.graph.output),
        [*front.constants, *core.graph.initializer], value_info=[*front.declared, *core.graph.value_info],
    )  # fmt: skip
    opsets = OPSETS | {opset.domain: opset.version for opset in core.opset_import}
    return _model(graph, opsets, core.ir_version)


def alone(front: Nodes, made: str, taken: TensorSpec) -> onnx.ModelProto:
    """A graph that ends with the symbols, int32 [B, L]."""
    output = helper.make_tensor_value_info(SYMBOLS, TensorProto.INT32, [BATCH, LENGTH])
    nodes = [*front.nodes, _as_symbols(made)]
    graph = helper.make_graph(
        nodes, "front", [_value_info(taken)], [output], front.constants, value_info=front.declared
    )
    return _model(graph, OPSETS, IR_VERSION)


def whole(
    nodes: Nodes, answers: Sequence[str], taken: TensorSpec, outputs: Sequence[TensorSpec]
) -> onnx.ModelProto:
    """A graph without a network: `answers` are the names of what was made as each of the outputs."""
    named = [
        helper.make_node("Identity", [made], [spec.name], f"front/{spec.name}")
        for made, spec in zip(answers, outputs, strict=True)
    ]
    graph = helper.make_graph(
        [*nodes.nodes, *named], "graph", [_value_info(taken)], [_value_info(spec) for spec in outputs],
        nodes.constants, value_info=nodes.declared,
    )  # fmt: skip
    return _model(graph, OPSETS, IR_VERSION)


def _as_symbols(made: str) -> onnx.NodeProto:
    return helper.make_node("Cast", [made], [SYMBOLS], "front/symbols", to=TensorProto.INT32)


def _value_info(spec: TensorSpec) -> onnx.ValueInfoProto:
    axes = [name if extent is None else extent for name, extent in spec.axes]
    return helper.make_tensor_value_info(spec.name, TYPES[spec.dtype], axes)


def _model(graph: onnx.GraphProto, opsets: dict[str, int], ir_version: int) -> onnx.ModelProto:
    imports = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    return helper.make_model(graph, opset_imports=imports, ir_version=ir_version, producer_name="modelyard")
