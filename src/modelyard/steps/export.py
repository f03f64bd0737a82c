"""Body of the export step: one ONNX file behind the parity gate, in a bundle that says all of itself."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from modelyard.bundle import ALONE, MODEL_FILE, Manifest, as_json, write_golden, write_manifest
from modelyard.data.datasets import Dataset, Split
from modelyard.data.packed import open_packed
from modelyard.errors import ExportError
from modelyard.evaluation.files import EVALUATION_FILE
from modelyard.export.deployed import Deployed, deployed, encoding_for
from modelyard.export.graphs import graph_name
from modelyard.export.mates import check_mates
from modelyard.export.onnx import operator_counts
from modelyard.export.parity import answers_of, check_parity
from modelyard.home import Home, cache_folder
from modelyard.inference.doubts import training_facts
from modelyard.inference.session import latencies_ms, open_session
from modelyard.machine.cores import usable_cores
from modelyard.machine.devices import device_slots
from modelyard.machine.how import How
from modelyard.models import CustomConfig
from modelyard.samples.signature import Signature
from modelyard.training.fits import open_fitted
from modelyard.training.fitted import Fitted, read_training
from modelyard.training.slices import ExportSlice

PACKAGES = ("modelyard", "torch", "onnx", "onnxruntime-gpu", "onnxruntime", "numpy", "mlflow", "prefect")

METADATA_SCHEMA = 2
EXAMPLES, GOLDEN = 64, 16
"""Test images for the latencies, and for the golden samples of a bundle."""
PATIENCE_S, SECONDS = 3.0, 0.16
"""For trainings to end before latencies are measured, and of each call's measurement."""
TOLD = ("init",)
"""What the manifest says of a training that no recipe knows: where brought weights are from."""
TIMES = frozenset({"train/seconds"})
"""Metrics that differ each time: in the manifest only, so that the same run makes the same ONNX file, byte
for byte.
"""


def run(slice: ExportSlice, given: Mapping[str, Path], out: Path, how: How) -> dict[str, Any]:
    """Write the bundle into `out`, pass the gates of parity and of batch mates, measure latency.

    Raises: ExportError, ParityError.
    """
    dataset, fitted = open_packed(given["data"], verify=False), open_fitted(given["train"], how.own_file)
    evaluation = json.loads((given["evaluate"] / EVALUATION_FILE).read_text())
    model, training = deployed(fitted, evaluation["temperature"]), read_training(given["train"])
    shipped, kept = encoding_for(model, slice.export.input), _graph_folder(slice, fitted, dataset, how.code)
    examples = dataset.test.take(np.arange(min(EXAMPLES, len(dataset.test))))
    golden = examples.take(np.arange(min(GOLDEN, len(examples))))
    golden_BK, expected_NK = model.probabilities(golden), answers_of(model, dataset.test)
    for name in sorted(model.encodings, key=lambda name: name == shipped):  # all are checked, one stays
        manifest = _manifest(slice, dataset, evaluation, training, name)
        manifest = replace(manifest, environment=_environment(model.library))
        model.write(out / MODEL_FILE, manifest.signature, _metadata(manifest), kept)
        _demand_operators(slice, out / MODEL_FILE)
        write_golden(out, manifest.signature.input.name, dataset.form.golden(golden.in_memory), golden_BK)
        write_manifest(out, manifest)
        parity = check_parity(out, expected_NK, dataset.test)
        check_mates(out, golden)
    measured = manifest.metrics | _speed(out / MODEL_FILE, model, examples, how.home, manifest.signature)
    write_manifest(out, replace(manifest, metrics=measured | {"onnx/max_difference": parity.max_difference}))
    return {"device": "cpu", "processes": 1, "cores": usable_cores()}


def _demand_operators(slice: ExportSlice, model: Path) -> None:
    """Raises: ExportError where an operator is missing that the architecture has."""
    if missing := sorted(slice.model.operators - operator_counts(model).keys()):
        raise ExportError(
            f"the exporter unrolled {missing[0]} into single steps; use the pinned torch of requirements.lock"
        )


def _graph_folder(slice: ExportSlice, fitted: Fitted, dataset: Dataset, code: str) -> Path | None:
    """Where its translated graph is kept; one that is not ours may do anything, so that it is translated each
    time. `code`: digest of what translates it.
    """
    if isinstance(slice.model, CustomConfig):
        return None
    shape = slice.model.model_dump(mode="json"), list(fitted.build.taken.sides), len(dataset.classes)
    return cache_folder() / graph_name(*shape, code)


def _speed(
    path: Path, model: Deployed, examples: Split, home: Home, signature: Signature
) -> dict[str, float]:
    """Latency of onnxruntime, and of what was exported, on the same samples, batch 1 and as many as there
    are.

    No training of this store runs beside it, unless one goes on for longer than `PATIENCE_S`. Torch's is the
    better of all threads and of one.
    """
    session, threads, names = open_session(path), torch.get_num_threads(), signature.names
    calls: dict[str, Callable[[], object]] = {}
    for suffix, count in (("latency_ms", 1), ("latency_batch64_ms", len(examples))):
        some = examples.take(np.arange(count))
        raw = signature.raw(some.in_memory)
        calls[f"onnx/{suffix}"] = partial(session.run, None, {signature.input.name: raw})
        calls |= {f"{model.library}/{suffix}/{number}": call for number, call in model.calls(some).items()}
    with device_slots(home, "cpu", patience_s=PATIENCE_S) as slots:
        measured = dict(zip(calls, latencies_ms(list(calls.values()), seconds=SECONDS), strict=True))
    torch.set_num_threads(threads)
    metrics = {"onnx/bytes": float(path.stat().st_size), ALONE: float(slots > 0)}
    for call, latency in sorted(
        measured.items(), key=lambda pair: -pair[1].p50
    ):  # the better one comes last and stays
        name = "/".join(call.split("/")[:2])
        metrics |= {f"{name}_{part}": value for part, value in asdict(latency).items()}
    return metrics | {names.rate: len(examples) * 1e3 / metrics["onnx/latency_batch64_ms_p50"]}


def _manifest(
    slice: ExportSlice, dataset: Dataset, evaluation: dict[str, Any], training: dict[str, Any], encoding: str
) -> Manifest:
    seconds, facts = training["seconds"], training_facts(dataset.form, dataset.train.few, dataset.reading)
    size = {f"model/{name}": float(value) for name, value in training["size"].items()}
    return Manifest(
        model_name=slice.dataset,
        architecture=slice.model.architecture,
        classes=dataset.classes,
        signature=Signature.of_classifier(dataset.form, len(dataset.classes), encoding),
        temperature=evaluation["temperature"],
        data_digest=dataset.digest,
        recipe=slice.recipe() | {name: training[name] for name in TOLD if name in training},
        metrics=evaluation["metrics"]
        | size
        | facts
        | {"train/seconds": seconds, "train/best_epoch": float(training["best_epoch"])},
        environment={},
        files={},
        reading=dataset.reading,
    )


def _environment(library: str) -> dict[str, str]:
    """Package -> version of `library` and those of `PACKAGES` that are here (of onnxruntimes one is)."""
    found = {}
    for name in dict.fromkeys((*PACKAGES, library)):
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


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
