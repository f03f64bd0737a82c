"""The deployed graph: raw samples in, calibrated probabilities out. B batch, K classes."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from modelyard.errors import ExportError
from modelyard.export.cores import core_of, pixels
from modelyard.export.graphs import kept_graph, with_weights, without_weights
from modelyard.samples import Form
from modelyard.samples.names import BATCH, LOGITS, PROBABILITIES

OPSET = 20  # read by every current runtime; 26 writes an Attention node that onnxruntime 1.31 refuses
MAX_BATCH = 4096


class DeployedModel(nn.Module):
    """What prepares raw samples, the model, its temperature and softmax in one module."""

    def __init__(
        self, model: nn.Module, temperature: float, prepared: Callable[[Tensor], Tensor] = pixels.prepared
    ) -> None:
        super().__init__()
        self.model = model
        self.prepared = prepared
        self.temperature: Tensor
        self.register_buffer("temperature", torch.tensor(temperature))

    def forward(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Raw samples [B, ...] -> logits and probabilities, float32 [B, K]."""
        logits_BK = self.model(self.prepared(raw)) / self.temperature
        return logits_BK, logits_BK.softmax(1)


def export_onnx(
    deployed: DeployedModel, form: Form, path: Path, metadata: dict[str, str], kept: Path | None = None
) -> None:
    """Write `deployed` for samples that a network is given as `form`, any batch size, as one file.

    `kept`: see `core_graph`. Raises: ExportError when torch cannot translate the model.
    """
    graph = core_graph(deployed, form, kept)
    forget_sources(graph.graph)
    write_onnx(graph, path, metadata)


def core_graph(deployed: DeployedModel, form: Form, kept: Path | None = None) -> onnx.ModelProto:
    """What torch translates, with its weights, optimised.

    `kept` is the folder that holds it as translated, or will: see `graphs.graph_name`. Raises: ExportError
    when torch cannot translate the model.
    """
    from onnxscript.optimizer import optimize  # takes a second: only where something is exported

    deployed = deployed.cpu().eval()
    weights = deployed.state_dict()

    def translate() -> onnx.ModelProto:
        return without_weights(_translated(deployed, form), weights)

    graph = with_weights(translate() if kept is None else kept_graph(kept, translate), weights)
    with _quiet():
        optimized: onnx.ModelProto = optimize(graph)
    return optimized


def write_onnx(graph: onnx.ModelProto, path: Path, metadata: dict[str, str]) -> None:
    """One checked file that says this of itself."""
    onnx.helper.set_model_props(graph, metadata)
    onnx.checker.check_model(graph, full_check=True)
    onnx.save_model(graph, path, save_as_external_data=False)


def _translated(deployed: DeployedModel, form: Form) -> onnx.ModelProto:
    """As torch translates it, not optimised yet; weights keep their names."""
    core = core_of(form)
    axes = {0: torch.export.Dim(BATCH, min=1, max=MAX_BATCH)} | {
        axis: torch.export.Dim(name, min=1, max=most) for axis, name, most in core.free
    }
    try:
        with _quiet():
            program = torch.onnx.export(
                deployed, (torch.from_numpy(core.example),), dynamo=True, opset_version=OPSET,
                verbose=False, optimize=False, input_names=[core.name], output_names=[LOGITS, PROBABILITIES],
                dynamic_shapes={"raw": axes},
            )  # fmt: skip
    except Exception as error:
        cause = _root(error)
        told = (str(cause).strip() or "no reason given").splitlines()[0][:200]
        raise ExportError(
            f"torch cannot write this model as ONNX ({type(cause).__name__}: {told})"
        ) from error
    assert program is not None
    graph: onnx.ModelProto = program.model_proto
    return graph


def forget_sources(graph: onnx.GraphProto) -> None:
    """The exporter writes stack traces with the paths of this machine, up to a quarter of a file."""
    for part in (*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""


def operator_counts(path: Path) -> dict[str, int]:
    """ONNX operator -> number of nodes."""
    counts: dict[str, int] = {}
    for node in onnx.load(path).graph.node:
        counts[node.op_type] = counts.get(node.op_type, 0) + 1
    return counts


def _root(error: BaseException) -> BaseException:
    """The first of a chain of errors: the exporter wraps the model's own in its advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter prints progress and warns about its own internals."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
