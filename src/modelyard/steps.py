"""The verbs of the pipeline. A step's output is a folder named by the digest of all it depends on."""

from __future__ import annotations

import importlib.metadata
import json
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock

import modelyard
from modelyard.bundle import MODEL_FILE, Manifest, as_json, open_bundle, write_golden, write_manifest
from modelyard.config import Config
from modelyard.data.datasets import Dataset, open_packed, pack
from modelyard.data.folder import FolderOptions
from modelyard.data.sources import load_dataset
from modelyard.data.splits import DataConfig, make_splits, stratified_mask
from modelyard.evaluation.calibration import fit_temperature, softmax
from modelyard.evaluation.metrics import confusion_matrix, per_class_table, score
from modelyard.export.onnx import DeployedModel, export_onnx, operator_counts
from modelyard.export.parity import check_parity, pixels_last, torch_probabilities
from modelyard.files import folder_written_whole, make_folder, sha256_of_file, sha256_of_json, write_json
from modelyard.home import Home
from modelyard.inference import latency_ms, open_session, percentiles_ms
from modelyard.recipes import Recipe
from modelyard.training.job import OnEpoch, TrainJob, load_trained, run_job, run_job_in_subprocess
from modelyard.training.loop import predict_logits

PACKAGES = ("torch", "onnx", "onnxruntime-gpu", "numpy", "mlflow", "prefect")


class CompareRequest(Config):
    """What `compare` is asked: several recipes on one data set with one seed."""

    dataset: str
    recipes: dict[str, Recipe]
    """Architecture as the user named it -> its recipe; the data part is the same in all."""
    seed: int = 0
    device: str = "auto"
    in_process: bool = False
    skip_unreadable: bool = False


class BuildRequest(Config):
    """One architecture on one prepared data set with one seed."""

    recipe: Recipe
    data_step: str
    """Folder name of the prepared data below `steps/`."""
    data_digest: str
    dataset: str
    dataset_requested: str = ""
    """What the user asked for, such as `auto` or a path."""
    label: str
    """Architecture as the user named it."""
    seed: int
    device: str = "auto"
    in_process: bool = False

    @property
    def training_key(self) -> str:
        """Digest of what the weights depend on."""
        slices = {"recipe": self.recipe.model_dump(mode="json"), "data": self.data_digest, "seed": self.seed}
        return sha256_of_json(slices | {"code": code_digest("data", "models", "training")})[:16]

    @property
    def export_key(self) -> str:
        """Digest of what the bundle depends on."""
        return sha256_of_json([self.training_key, code_digest("export", "evaluation", "bundle.py")])[:16]

    def training_folder(self, home: Home) -> Path:
        return home.steps / f"train-{self.training_key}"

    def bundle_folder(self, home: Home) -> Path:
        return home.steps / f"export-{self.export_key}"

    def evaluation_folder(self, home: Home) -> Path:
        return home.steps / f"evaluate-{self.export_key}"


def code_digest(*rooms: str) -> str:
    """Digest of the source files of some rooms of this package."""
    root = Path(modelyard.__file__).parent
    paths = [
        path for room in rooms for path in ([root / room] if room.endswith(".py") else sorted((root / room).rglob("*.py")))
    ]
    return sha256_of_json([[path.name, sha256_of_file(path)] for path in paths])


def prepare(dataset: str, home: Home, data: DataConfig | None = None, *, skip_unreadable: bool = False) -> dict[str, str]:
    """Verify and pack the data; gives step name, digest and the data set's real name."""
    data = data or DataConfig()
    options = FolderOptions(data.height, data.width, data.channels, skip_unreadable)
    loaded = load_dataset(dataset, options)
    stratified_mask(loaded.train.labels_N, len(loaded.classes), data)
    folder = home.steps / f"data-{loaded.digest[:16]}"
    if not folder.exists():
        pack(loaded, folder)
    return {"data_step": folder.name, "data_digest": loaded.digest, "dataset": loaded.name}


def check_model(request: BuildRequest, home: Home) -> None:
    """Build the model before anything is recorded; a user's own is exported untrained, too.

    Raises: ConfigError, ExportError.
    """
    dataset = open_packed(home.steps / request.data_step)
    model = request.recipe.model.build(dataset.image_shape, len(dataset.classes))
    if request.recipe.model.architecture == "custom":
        channels, height, width = dataset.image_shape
        with tempfile.TemporaryDirectory() as folder:
            export_onnx(DeployedModel(model, 1.0), (height, width, channels), Path(folder) / MODEL_FILE, {})


def run_training(request: BuildRequest, home: Home, on_epoch: OnEpoch) -> Path:
    """Train, or go on from the checkpoint; one training at a time on a device."""
    folder = request.training_folder(home)
    with FileLock(make_folder(home.locks) / "device.lock"):
        if folder.exists():
            return folder
        checkpoint = home.checkpoints / f"{request.training_key}.safetensors"
        job = TrainJob(
            data_folder=str(home.steps / request.data_step), data=request.recipe.data, model=request.recipe.model,
            training=request.recipe.training, seed=request.seed, device=request.device, checkpoint=str(checkpoint),
        )  # fmt: skip
        with folder_written_whole(folder) as scratch:
            (run_job if request.in_process else run_job_in_subprocess)(job, scratch, on_epoch)
        checkpoint.unlink(missing_ok=True)
    return folder


def _trained_model(request: BuildRequest, home: Home) -> tuple[Dataset, torch.nn.Module, dict[str, Any]]:
    dataset = open_packed(home.steps / request.data_step)
    model = request.recipe.model.build(dataset.image_shape, len(dataset.classes))
    return dataset, model, load_trained(request.training_folder(home), model)


def evaluate(request: BuildRequest, home: Home) -> Path:
    """Fit the temperature on validation, score validation and test, draw the report."""
    folder = request.evaluation_folder(home)
    if folder.exists():
        return folder
    from modelyard.evaluation.plots import draw_report  # matplotlib: only where something is drawn

    dataset, model, training = _trained_model(request, home)
    splits = make_splits(dataset, request.recipe.data)
    cpu = torch.device("cpu")
    validation_NK, test_NK = (predict_logits(model, split, cpu).numpy() for split in (splits.validation, splits.test))
    temperature = fit_temperature(validation_NK, splits.validation.labels_N)
    before = score(softmax(test_NK), splits.test.labels_N)
    probabilities_NK = softmax(test_NK, temperature)
    metrics = score(softmax(validation_NK, temperature), splits.validation.labels_N).prefixed("validation")
    metrics |= score(probabilities_NK, splits.test.labels_N).prefixed("test")
    metrics |= {f"test/{name}_before_temperature": getattr(before, name) for name in ("nll", "brier", "ece")}
    with folder_written_whole(folder) as scratch:
        correct_N = probabilities_NK.argmax(1) == splits.test.labels_N
        np.savez_compressed(scratch / "test.npz", correct=correct_N, probabilities=probabilities_NK.astype(np.float32))
        draw_report(scratch, dataset, probabilities_NK, training["history"])
        table = per_class_table(confusion_matrix(probabilities_NK, splits.test.labels_N), dataset.classes)
        (scratch / "per_class.csv").write_text(table)
        write_json(scratch / "evaluation.json", {"temperature": temperature, "metrics": metrics})
    return folder


def read_evaluation(folder: Path) -> dict[str, Any]:
    """Temperature and metrics of an evaluation step."""
    record: dict[str, Any] = json.loads((folder / "evaluation.json").read_text())
    return record


def export(request: BuildRequest, home: Home) -> Path:
    """Write the bundle, pass the parity gate, measure latency. Raises: ExportError, ParityError."""
    folder = request.bundle_folder(home)
    if folder.exists():
        open_bundle(folder)
        return folder
    dataset, model, training = _trained_model(request, home)
    evaluation = read_evaluation(request.evaluation_folder(home))
    deployed = DeployedModel(model, evaluation["temperature"]).eval()
    images_NHWC = pixels_last(dataset.test)
    expected_NK = torch_probabilities(deployed, images_NHWC)
    with folder_written_whole(folder) as scratch:
        manifest = _manifest(request, dataset, evaluation, training)
        export_onnx(deployed, manifest.image_shape, scratch / MODEL_FILE, _metadata(manifest))
        if request.recipe.model.architecture == "rnn":
            assert operator_counts(scratch / MODEL_FILE).get("LSTM"), "the exporter unrolled the LSTM"
        write_golden(scratch, images_NHWC[:16], expected_NK[:16])
        write_manifest(scratch, manifest)
        parity = check_parity(scratch, images_NHWC, expected_NK)
        measured = manifest.metrics | _speed(scratch / MODEL_FILE, deployed, images_NHWC)
        measured |= {"onnx/max_difference": parity.max_difference}
        write_manifest(scratch, replace(manifest, metrics=measured))
    return folder


def _speed(model: Path, deployed: DeployedModel, images_NHWC: np.ndarray[Any, np.dtype[np.uint8]]) -> dict[str, float]:
    session = open_session(model)
    p50, p99 = latency_ms(session, images_NHWC[:1])
    p50_64, p99_64 = latency_ms(session, images_NHWC[:64])
    example_BHWC = torch.tensor(images_NHWC[:1])
    with torch.inference_mode():
        eager_p50, _ = percentiles_ms(lambda: deployed(example_BHWC))
    return {
        "onnx/latency_ms_p50": p50, "onnx/latency_ms_p99": p99, "onnx/latency_batch64_ms_p50": p50_64,
        "onnx/latency_batch64_ms_p99": p99_64, "onnx/images_per_second": 64e3 / p50_64,
        "torch/latency_ms_p50": eager_p50, "onnx/bytes": float(model.stat().st_size),
    }  # fmt: skip


def _manifest(request: BuildRequest, dataset: Dataset, evaluation: dict[str, Any], training: dict[str, Any]) -> Manifest:
    channels, height, width = dataset.image_shape
    seconds = sum(report["seconds"] for report in training["history"])
    size = {f"model/{name}": float(value) for name, value in training["size"].items()}
    return Manifest(
        model_name=dataset.name, architecture=request.recipe.model.architecture, classes=dataset.classes,
        image_shape=(height, width, channels), temperature=evaluation["temperature"], data_digest=dataset.digest,
        recipe=request.recipe.model_dump(mode="json") | {"seed": request.seed},
        metrics=evaluation["metrics"] | size | {"train/seconds": seconds, "train/best_epoch": float(training["best_epoch"])},
        environment={name: importlib.metadata.version(name) for name in PACKAGES}, files={},
    )  # fmt: skip


def _metadata(manifest: Manifest) -> dict[str, str]:
    told = {name: value for name, value in asdict(manifest).items() if name != "files"}
    return {name: value if isinstance(value, str) else as_json(value) for name, value in told.items()}
