"""A model version under one public name: its engine, queue, protocol and counters."""

from __future__ import annotations

from collections.abc import Awaitable
from concurrent.futures import Executor
from dataclasses import asdict

from modelyard.releases.pointers import Pointer
from modelyard.serving.http.limits import Limits
from modelyard.serving.models.batching import Batcher, Outputs
from modelyard.serving.models.engine import Engine
from modelyard.serving.options import ServeOptions
from modelyard.serving.processes.metrics import WorkerMetrics
from modelyard.serving.protocol.infer_request import CACHED_BYTES, RequestReader
from modelyard.serving.protocol.infer_response import ResponseWriter
from modelyard.serving.protocol.inputs import Input, Rows
from modelyard.serving.protocol.tensors import WireTensor

PLATFORM = "onnxruntime_onnx"


class Served:
    """What a request for one name and version meets."""

    def __init__(
        self,
        pointer: Pointer,
        engine: Engine,
        *,
        options: ServeOptions,
        metrics: WorkerMetrics,
        runner: Executor,
    ) -> None:
        self.pointer = pointer
        self.name, self.version = pointer.name, pointer.version
        self.engine = engine
        self.manifest = engine.manifest
        self.counters = metrics.counters(self.name, self.version)
        self.limits = Limits.of(engine.input.offered[0], options.max_rows, options.max_json_bytes)
        self.reader = RequestReader(engine.input, engine.outputs, self.limits)
        self.writer = ResponseWriter(self.name, self.version, engine.outputs, self.manifest.classes)
        self._batcher = Batcher(engine, self.counters, runner=runner, queue_s=options.queue_s)
        self.timeout_s = options.request_timeout_s
        self._most_rows = max(
            1,
            min(
                options.max_rows, (options.max_body_bytes - CACHED_BYTES) // engine.input.offered[0].row_bytes
            ),
        )

    def submit(self, rows: Rows, num_rows: int, timeout_s: float | None = None) -> Awaitable[Outputs]:
        """All outputs for these rows. Raises: RequestError (503, 504, 500)."""
        return self._batcher.submit(rows, num_rows, min(timeout_s or self.timeout_s, self.timeout_s))

    def metadata(self, versions: list[str]) -> dict[str, object]:
        """V2 model metadata, from the graph."""
        return {
            "name": self.name,
            "versions": versions,
            "platform": PLATFORM,
            "inputs": [self.engine.input.offered[0].metadata()],
            "outputs": [output.metadata() for output in self.engine.outputs],
        }

    def config(self) -> dict[str, object]:
        """Triton's model configuration of the model_configuration extension."""
        kind = "KIND_CPU" if self.engine.provider == "CPUExecutionProvider" else "KIND_GPU"
        return {
            "name": self.name,
            "platform": PLATFORM,
            "backend": "onnxruntime",
            "max_batch_size": self._most_rows,
            "dynamic_batching": {
                "preferred_batch_size": [self.engine.row_cap],
                "max_queue_delay_microseconds": 0,
            },
            "version_policy": {"specific": {"versions": [int(self.version)]}},
            "input": [
                _config_entry(self.engine.input.offered[0]) | {"format": self.manifest.signature.names.layout}
            ],
            "output": [_config_entry(output) for output in self.engine.outputs],
            "instance_group": [{"kind": kind, "count": 1}],
        }

    def card(self) -> dict[str, object]:
        """For people and the page."""
        manifest = self.manifest
        return {
            "name": self.name,
            "version": self.version,
            "alias": self.pointer.alias,
            "architecture": manifest.architecture,
            "classes": manifest.classes,
            "kind": manifest.form.kind,
            **manifest.form.facts,
            "reading": asdict(manifest.reading),
            "data_digest": manifest.data_digest,
            "metrics": manifest.metrics,
            "ready": True,
        }


def _config_entry(spec: Input | WireTensor) -> dict[str, object]:
    return {"name": spec.name, "data_type": spec.config_type, "dims": spec.row_shape}
