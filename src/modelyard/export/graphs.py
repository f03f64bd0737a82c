"""What torch's exporter makes of an architecture, kept: it takes seconds, and no weight decides anything in
it.
"""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import onnx
from torch import Tensor

from modelyard.errors import StoreError
from modelyard.files import folder_written_whole, sha256_of_json
from modelyard.seals import is_sealed, seal

GRAPH_FILE = "graph.onnx"
TRANSLATORS = ("torch", "onnx", "onnxscript", "onnx-ir")
"""Packages whose versions decide what is in a graph."""


def graph_name(*slices: object) -> str:
    """The folder name of a kept graph; `slices` (JSON values) say of which architecture, image shape and code
    it is.
    """
    versions = [importlib.metadata.version(name) for name in TRANSLATORS]
    return f"graph-{sha256_of_json([*slices, versions])[:16]}"


def kept_graph(folder: Path, translate: Callable[[], onnx.ModelProto]) -> onnx.ModelProto:
    """The graph in `folder`; where there is none, or a damaged one, it is translated, and kept if the disk
    allows.
    """
    if is_sealed(folder):
        return onnx.load(folder / GRAPH_FILE)
    graph = translate()
    if not is_sealed(folder):  # another process may have been faster
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(StoreError), folder_written_whole(folder) as scratch:
            onnx.save_model(graph, scratch / GRAPH_FILE)
            seal(scratch)
    return graph


def without_weights(graph: onnx.ModelProto, weights: Mapping[str, Tensor]) -> onnx.ModelProto:
    """The graph with names, types and shapes of its weights only: what is kept tells nothing of a
    training.
    """
    for tensor in graph.graph.initializer:
        if tensor.name in weights:
            tensor.ClearField("raw_data")
    return graph


def with_weights(graph: onnx.ModelProto, weights: Mapping[str, Tensor]) -> onnx.ModelProto:
    """The graph with `weights` by name; others, such as an LSTM's first state, are constants of the
    architecture.
    """
    for tensor in graph.graph.initializer:
        if tensor.name in weights:
            tensor.CopyFrom(onnx.numpy_helper.from_array(weights[tensor.name].numpy(), tensor.name))
    return graph
