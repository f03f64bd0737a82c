"""The export step: one ONNX file behind the parity gate, in a bundle that says all of itself."""

from __future__ import annotations

import importlib.metadata
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from modelyard.bundle import MODEL_FILE, Manifest, as_json, write_golden, write_manifest
from modelyard.data.datasets import Dataset
from modelyard.errors import ExportError
from modelyard.export.graphs import graph_name
from modelyard.export.onnx import DeployedModel, export_onnx, operator_counts
from modelyard.export.parity import check_parity, pixel_blocks, torch_probabilities
from modelyard.files import folder_written_whole
from modelyard.home import Home, cache_folder
from modelyard.inference import latency_ms, open_session, percentiles_ms
from modelyard.requests import BuildRequest, code_digest
from modelyard.steps.evaluation import read_evaluation
from modelyard.steps.finished import export_is_done
from modelyard.steps.training import trained_model

PACKAGES = ("modelyard", "torch", "onnx", "onnxruntime-gpu", "onnxruntime", "numpy", "mlflow", "prefect")

EXAMPLES, GOLDEN = 64, 16
"""Test images for the latencies, and for the golden samples of a bundle."""
TIMES = frozenset({"train/seconds"})
"""Metrics that differ each time: in the manifest only, so that the same run makes the same ONNX file, byte for byte."""


def export(request: BuildRequest, home: Home) -> Path:
    """Write the bundle, pass the parity gate, measure latency. Raises: ExportError, ParityError."""
    folder = request.bundle_folder(home)
    if export_is_done(request, home):
        return folder
    dataset, model, training = trained_model(request, home)
    evaluation = read_evaluation(request.evaluation_folder(home))
    deployed = DeployedModel(model, evaluation["temperature"]).eval()
    examples_BHWC = next(pixel_blocks(dataset.test, EXAMPLES))
    with folder_written_whole(folder) as scratch:
        manifest = _manifest(request, dataset, evaluation, training)
        export_onnx(deployed, manifest.image_shape, scratch / MODEL_FILE, _metadata(manifest), _graph_folder(request, dataset))
        if request.recipe.model.architecture == "rnn" and not operator_counts(scratch / MODEL_FILE).get("LSTM"):
            raise ExportError("the exporter unrolled the LSTM into single steps; use the pinned torch of requirements.lock")
        golden_BHWC = examples_BHWC[:GOLDEN]
        write_golden(scratch, golden_BHWC, torch_probabilities(deployed, golden_BHWC))
        write_manifest(scratch, manifest)
        parity = check_parity(scratch, deployed, dataset.test)
        measured = manifest.metrics | _speed(scratch / MODEL_FILE, deployed, examples_BHWC)
        measured |= {"onnx/max_difference": parity.max_difference}
        write_manifest(scratch, replace(manifest, metrics=measured))
    return folder


def _graph_folder(request: BuildRequest, dataset: Dataset) -> Path | None:
    """Where its translated graph is kept; a user's own module may do anything, so that it is translated each time."""
    model = request.recipe.model
    if model.architecture == "custom":
        return None
    code = code_digest("models", "export", "data/batches.py")
    return cache_folder() / graph_name(model.model_dump(mode="json"), dataset.image_shape, len(dataset.classes), code)


def _speed(model: Path, deployed: DeployedModel, images_BHWC: NDArray[np.uint8]) -> dict[str, float]:
    """Latency of onnxruntime and of torch eager on the same images, batch 1 and as many as there are."""
    session = open_session(model)
    metrics = {"onnx/bytes": float(model.stat().st_size)}
    for suffix, batch_BHWC in (("latency", images_BHWC[:1]), ("latency_batch64", images_BHWC)):
        tensor_BHWC = torch.tensor(batch_BHWC)
        onnx_ms = latency_ms(session, batch_BHWC)
        with torch.inference_mode():
            torch_ms = percentiles_ms(lambda tensor_BHWC=tensor_BHWC: deployed(tensor_BHWC))  # type: ignore[misc]
        for runtime, (p50, p99) in (("onnx", onnx_ms), ("torch", torch_ms)):
            metrics |= {f"{runtime}/{suffix}_ms_p50": p50, f"{runtime}/{suffix}_ms_p99": p99}
    return metrics | {"onnx/images_per_second": len(images_BHWC) * 1e3 / metrics["onnx/latency_batch64_ms_p50"]}


def _manifest(request: BuildRequest, dataset: Dataset, evaluation: dict[str, Any], training: dict[str, Any]) -> Manifest:
    channels, height, width = dataset.image_shape
    seconds = training["seconds"]
    size = {f"model/{name}": float(value) for name, value in training["size"].items()}
    return Manifest(
        model_name=request.dataset, architecture=request.recipe.model.architecture, classes=dataset.classes,
        image_shape=(height, width, channels), temperature=evaluation["temperature"], data_digest=dataset.digest,
        recipe=request.recipe.made() | {"seed": request.seed},
        metrics=evaluation["metrics"] | size | {"train/seconds": seconds, "train/best_epoch": float(training["best_epoch"])},
        environment=_environment(), files={}, reading=dataset.reading,
    )  # fmt: skip


def _environment() -> dict[str, str]:
    """Package -> version of those of `PACKAGES` that are here (one of the two onnxruntimes is)."""
    installed = {distribution.name: distribution.version for distribution in importlib.metadata.distributions()}
    return {name: installed[name] for name in PACKAGES if name in installed}


def _metadata(manifest: Manifest) -> dict[str, str]:
    told = {name: value for name, value in asdict(manifest).items() if name != "files"}
    told["metrics"] = {name: value for name, value in manifest.metrics.items() if name not in TIMES}
    return {name: value if isinstance(value, str) else as_json(value) for name, value in told.items()}
