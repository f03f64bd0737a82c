"""Fitted models with their temperature, as they are exported and compared with what was exported.

B batch, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from modelyard.data.datasets import Split
from modelyard.errors import ConfigError
from modelyard.export.cores import core_of
from modelyard.export.fronts import FRONTS
from modelyard.export.linear import LinearDeployed
from modelyard.export.onnx import DeployedModel, core_graph, forget_sources, write_onnx
from modelyard.samples.signature import Signature
from modelyard.training.fitted import Build, Fitted, TorchFitted
from modelyard.training.linear_fitted import LinearFitted


class Deployed(Protocol):
    """A model that can be exported."""

    library: str
    """The package that computes `calls`."""

    @property
    def encodings(self) -> tuple[str, ...]:
        """Names of the inputs that its graph may have; the first is what it has unless told otherwise."""

    def write(self, path: Path, signature: Signature, metadata: dict[str, str], kept: Path | None) -> None:
        """One ONNX file. `kept`: folder of what is the same for all weights, if it may be kept."""

    def probabilities(self, split: Split) -> NDArray[np.float32]:
        """The answers that its graph has to give [B, K], for few samples."""

    def calls(self, split: Split) -> Mapping[int, Callable[[], object]]:
        """Threads -> a call for all these samples, without onnxruntime, to compare latencies with."""


class TorchDeployed:
    """A torch network."""

    library = "torch"

    def __init__(self, fitted: TorchFitted, temperature: float) -> None:
        self._build = fitted.build
        core = core_of(self._build.taken)
        self.module = DeployedModel(fitted.network, temperature, core.prepared).eval()
        self._core: onnx.ModelProto | None = None

    @property
    def encodings(self) -> tuple[str, ...]:
        """Those that something makes the network's input of."""
        return tuple(name for name in self._build.form.encodings if FRONTS[name].fits(self._build))

    def write(self, path: Path, signature: Signature, metadata: dict[str, str], kept: Path | None) -> None:
        """Raises: ExportError when torch cannot translate it."""
        if self._core is None:  # the same before whatever makes its input
            self._core = core_graph(self.module, self._build.taken, kept)
        graph = FRONTS[signature.encoding].put(self._build, self._core)
        forget_sources(graph.graph)
        write_onnx(graph, path, metadata)

    def probabilities(self, split: Split) -> NDArray[np.float32]:
        """[B, K]"""
        return torch_probabilities(self.module, raw_of(self._build, split))

    def calls(self, split: Split) -> Mapping[int, Callable[[], object]]:
        """With all threads, and with one: on a busy machine threads wait a hundred times as long for each
        other as they work.
        """
        raw = torch.tensor(raw_of(self._build, split))
        return {count: partial(_eager, self.module, raw, count) for count in (torch.get_num_threads(), 1)}


def raw_of(build: Build, split: Split) -> NDArray[Any]:
    """What the translated part of the graph takes of a split's samples."""
    if build.symbols is None:
        return build.form.encoding.raw(split.in_memory)
    return build.encoded(split).in_memory


def torch_probabilities(
    deployed: DeployedModel, raw: NDArray[Any], batch_size: int = 512
) -> NDArray[np.float32]:
    """What torch answers, [B, K]."""
    with torch.inference_mode():
        parts = [
            deployed(torch.tensor(raw[at : at + batch_size]))[1] for at in range(0, len(raw), batch_size)
        ]
    return torch.cat(parts).numpy()


def _eager(deployed: DeployedModel, raw: torch.Tensor, threads: int) -> object:
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    with torch.inference_mode():
        return deployed(raw)


DEPLOYED: Mapping[type, Callable[[Any, float], Deployed]] = {
    TorchFitted: TorchDeployed,
    LinearFitted: LinearDeployed,
}


def deployed(fitted: Fitted, temperature: float) -> Deployed:
    """The fitted model as it is exported."""
    return DEPLOYED[type(fitted)](fitted, temperature)


def encoding_for(model: Deployed, wanted: str | None) -> str:
    """The name of the graph's input. Raises: ConfigError for one that it cannot have."""
    if wanted is not None and wanted not in model.encodings:
        raise ConfigError(
            f"export.input: expected {' or '.join(model.encodings)} for this model, received {wanted[:40]!r}"
        )
    return wanted or model.encodings[0]
