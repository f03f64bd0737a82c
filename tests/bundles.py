"""Hand-made releases: a linear classifier in the graph and folder of a real one, without any training.

B images, P pixels of one image (H * W * C), K classes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from modelyard.bundle import MODEL_FILE, Manifest, write_golden, write_manifest

Weights = NDArray[np.float32]


def linear_graph(weights_PK: Weights, bias_K: Weights, image_shape: tuple[int, int, int]) -> onnx.ModelProto:
    """images uint8 [batch, H, W, C] -> logits and probabilities [batch, K]."""
    num_pixels, num_classes = weights_PK.shape
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["floats", "shape"], ["rows"]),
        helper.make_node("Gemm", ["rows", "weights", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    constants = {"shape": np.array([-1, num_pixels]), "weights": weights_PK / np.float32(255), "bias": bias_K}
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", num_classes]) for name in ("logits", "probabilities")
    ]
    graph = helper.make_graph(
        nodes, "linear", [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", *image_shape])], outputs,
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def probabilities_of(images_BHWC: NDArray[np.uint8], weights_PK: Weights, bias_K: Weights) -> NDArray[np.float32]:
    """What `linear_graph` must answer, by numpy."""
    logits_BK = images_BHWC.reshape(len(images_BHWC), -1) / 255 @ weights_PK + bias_K
    exponentials_BK = np.exp(logits_BK - logits_BK.max(1, keepdims=True))
    return np.asarray(exponentials_BK / exponentials_BK.sum(1, keepdims=True), np.float32)


def make_release(
    releases: Path, manifest: Manifest, version: int, *aliases: str, weights_PK: Weights, bias_K: Weights | None = None
) -> Path:
    """A sealed bundle at `releases`/<model>/<version> and alias files that name it; gives the bundle's folder."""
    folder = releases / manifest.model_name / str(version)
    folder.mkdir(parents=True)
    bias_K = np.zeros(weights_PK.shape[1], np.float32) if bias_K is None else bias_K
    onnx.save_model(linear_graph(weights_PK, bias_K, manifest.image_shape), folder / MODEL_FILE)
    golden_BHWC = np.random.default_rng(0).integers(0, 256, (16, *manifest.image_shape), np.uint8)
    write_golden(folder, golden_BHWC, probabilities_of(golden_BHWC, weights_PK, bias_K))
    write_manifest(folder, manifest)
    for alias in aliases:
        (folder.parent / f"{alias}.alias").write_text(f"{version}\n")
    return folder


def make_manifest(
    name: str, classes: tuple[str, ...], image_shape: tuple[int, int, int], *, architecture: str = "cnn", digest: str = "ab12"
) -> Manifest:
    """With the metrics that a trained model has; their values say nothing."""
    metrics = {
        "test/accuracy": 0.9, "test/accuracy_low": 0.85, "test/accuracy_high": 0.95, "test/nll": 0.3, "test/ece": 0.02,
        "test/ece_before_temperature": 0.05, "model/parameters": 7850.0, "onnx/bytes": 32_000.0,
    }  # fmt: skip
    return Manifest(
        model_name=name, architecture=architecture, classes=classes, image_shape=image_shape, temperature=1.0,
        data_digest=digest, recipe={}, metrics=metrics, environment={}, files={},
    )  # fmt: skip
