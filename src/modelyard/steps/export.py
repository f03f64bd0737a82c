"""Body of the export step: one ONNX file behind the parity gate, in a bundle that says all of itself."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from modelyard.bundle import ALONE, MODEL_FILE, Manifest, as_json, write_golden, write_manifest
from modelyard.data.datasets import Dataset
from modelyard.data.packed import open_packed
from modelyard.errors import ExportError
from modelyard.evaluation.files import EVALUATION_FILE
from modelyard.export.graphs import graph_name
from modelyard.export.onnx import DeployedModel, export_onnx, operator_counts
from modelyard.export.parity import check_parity, raw_blocks, torch_probabilities
from modelyard.home import Home, cache_folder
from modelyard.inference.doubts import training_facts
from modelyard.inference.session import latencies_ms, open_session
from modelyard.machine.cores import usable_cores
from modelyard.machine.devices import device_slots
from modelyard.machine.how import How
from modelyard.models import CustomConfig
from modelyard.samples.names import Names
from modelyard.samples.signature import Signature
from modelyard.training.fitted import open_fitted, read_training
from modelyard.training.slices import ExportSlice

PACKAGES = ("modelyard", "torch", "onnx", "onnxruntime-gpu", "onnxruntime", "numpy", "mlflow", "prefect")

METADATA_SCHEMA = 2
EXAMPLES, GOLDEN = 64, 16
"""Test images for the latencies, and for the golden samples of a bundle."""
PATIENCE_S, SECONDS = 3.0, 0.16
"""For trainings to end before latencies are measured, and of each call's measurement."""
TIMES = frozenset({"train/seconds"})
"""Metrics that differ each time: in the manifest only, so that the same run makes the same ONNX file, byte
for byte.
"""


def run(slice: ExportSlice, given: Mapping[str, Path], out: Path, how: How) -> dict[str, Any]:
    """Write the bundle into `out`, pass the parity gate, measure latency.

    Raises: ExportError, ParityError.
    """
    dataset, fitted = open_packed(given["data"], verify=False), open_fitted(given["train"], how.own_file)
    evaluation = json.loads((given["evaluate"] / EVALUATION_FILE).read_text())
    deployed = DeployedModel(fitted.network, evaluation["temperature"]).eval()
    examples = next(raw_blocks(dataset.test, EXAMPLES))
    manifest = _manifest(slice, dataset, evaluation, read_training(given["train"]))
    kept = _graph_folder(slice, dataset, how.code)
    export_onnx(deployed, dataset.form, out / MODEL_FILE, _metadata(manifest), kept)
    if slice.model.architecture == "rnn" and not operator_counts(out / MODEL_FILE).get("LSTM"):
        raise ExportError(
            "the exporter unrolled the LSTM into single steps; use the pinned torch of requirements.lock"
        )
    golden = examples[:GOLDEN]
    write_golden(out, manifest.signature.input.name, golden, torch_probabilities(deployed, golden))
    write_manifest(out, manifest)
    parity = check_parity(out, deployed, dataset.test)
    measured = manifest.metrics | _speed(out / MODEL_FILE, deployed, examples, how.home, dataset.form.names)
    write_manifest(out, replace(manifest, metrics=measured | {"onnx/max_difference": parity.max_difference}))
    return {"device": "cpu", "processes": 1, "cores": usable_cores()}


def _graph_folder(slice: ExportSlice, dataset: Dataset, code: str) -> Path | None:
    """Where its translated graph is kept; one that is not ours may do anything, so that it is translated each
    time. `code`: digest of what translates it.
    """
    if isinstance(slice.model, CustomConfig):
        return None
    shape = slice.model.model_dump(mode="json"), dataset.form.chw, len(dataset.classes)
    return cache_folder() / graph_name(*shape, code)


def _speed(
    model: Path, deployed: DeployedModel, raw: NDArray[Any], home: Home, names: Names
) -> dict[str, float]:
    """Latency of onnxruntime and of torch eager on the same samples, batch 1 and as many as there are.

    No training of this store runs beside it, unless one goes on for longer than `PATIENCE_S`. Torch's is the
    better of all threads and of one: on a busy machine its threads wait a hundred times as long for each
    other as they work.
    """
    session, threads = open_session(model), torch.get_num_threads()
    calls: dict[str, Callable[[], object]] = {}
    for suffix, batch in (("latency_ms", raw[:1]), ("latency_batch64_ms", raw)):
        calls[f"onnx/{suffix}"] = partial(session.run, None, {names.input: batch})
        for count in (threads, 1):
            calls[f"torch/{suffix}/{count}"] = partial(_eager, deployed, torch.tensor(batch), count)
    with device_slots(home, "cpu", patience_s=PATIENCE_S) as slots, torch.inference_mode():
        measured = dict(zip(calls, latencies_ms(list(calls.values()), seconds=SECONDS), strict=True))
    torch.set_num_threads(threads)
    metrics = {"onnx/bytes": float(model.stat().st_size), ALONE: float(slots > 0)}
    for call, latency in sorted(
        measured.items(), key=lambda pair: -pair[1].p50
    ):  # the better one comes last and stays
        name = "/".join(call.split("/")[:2])
        metrics |= {f"{name}_{part}": value for part, value in asdict(latency).items()}
    return metrics | {names.rate: len(raw) * 1e3 / metrics["onnx/latency_batch64_ms_p50"]}


def _eager(deployed: DeployedModel, raw: torch.Tensor, threads: int) -> object:
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    return deployed(raw)


def _manifest(
    slice: ExportSlice, dataset: Dataset, evaluation: dict[str, Any], training: dict[str, Any]
) -> Manifest:
    seconds = training["seconds"]
    few = training_facts(dataset.form, dataset.train.few, dataset.reading)
    size = {f"model/{name}": float(value) for name, value in training["size"].items()}
    return Manifest(
        model_name=slice.dataset,
        architecture=slice.model.architecture,
        classes=dataset.classes,
        signature=Signature.of_classifier(dataset.form, len(dataset.classes)),
        temperature=evaluation["temperature"],
        data_digest=dataset.digest,
        recipe=slice.recipe(),
        metrics=evaluation["metrics"]
        | size
        | few
        | {"train/seconds": seconds, "train/best_epoch": float(training["best_epoch"])},
        environment=_environment(),
        files={},
        reading=dataset.reading,
    )


def _environment() -> dict[str, str]:
    """Package -> version of those of `PACKAGES` that are here (one of the two onnxruntimes is)."""
    installed = {
        distribution.name: distribution.version for distribution in importlib.metadata.distributions()
    }
    return {name: installed[name] for name in PACKAGES if name in installed}


def _metadata(manifest: Manifest) -> dict[str, str]:
    """What the ONNX file says of itself: the manifest as schema 2 had it, which its readers know, and the
    signature.
    """
    told: dict[str, Any] = {}
    for name, value in asdict(manifest).items():
        told |= manifest.form.facts if name == "signature" else {name: value}
    del told["files"]
    told["schema_version"] = METADATA_SCHEMA
    told["metrics"] = {name: value for name, value in manifest.metrics.items() if name not in TIMES}
    told[manifest.form.names.contract] = manifest.contract()
    told["signature"] = asdict(manifest.signature)
    return {name: value if isinstance(value, str) else as_json(value) for name, value in told.items()}
