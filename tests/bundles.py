"""Hand-made data and bundles whose answers are known, so that no test of tracking has to train.

An image is 1 x 3 x 5: pixel k is lit for the class of the letter k of the alphabet, and pixel 14 marks the
image as hard.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from modelyard.bundle import MODEL_FILE, Manifest, write_golden, write_manifest
from modelyard.data.datasets import Dataset, Split, make_dataset
from modelyard.inference.session import classify, open_session
from modelyard.samples.signature import Signature

CLASSES = ("a", "b", "c", "d", "e")
HEIGHT, WIDTH, HARD = 3, 5, 14


def lit_dataset(
    *,
    images: int = 200,
    hard: int = 40,
    name: str = "lit",
    brightness: int = 200,
    classes: tuple[str, ...] = CLASSES,
    height: int = HEIGHT,
) -> Dataset:
    """A data set of which the first `hard` test images are marked."""
    labels_N = np.arange(images, dtype=np.int64) % len(classes)
    pixels_NP = np.zeros((images, height * WIDTH), np.uint8)
    pixels_NP[np.arange(images), _lit_pixels(classes)[labels_N]] = brightness
    easy = Split(pixels_NP.reshape(-1, 1, height, WIDTH), labels_N)
    marked_NP = pixels_NP.copy()
    marked_NP[:hard, HARD] = 255
    return make_dataset(name, easy, Split(marked_NP.reshape(-1, 1, height, WIDTH), labels_N), classes)


def _lit_pixels(classes: tuple[str, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.array([ord(name) - ord("a") for name in classes])


def lit_bundle(
    folder: Path, *, fooled: bool, metrics: dict[str, float], data_digest: str = "0" * 64,
    classes: tuple[str, ...] = CLASSES, height: int = HEIGHT, name: str = "lit", producer: str = "",
) -> Path:  # fmt: skip
    """A bundle that reads the lit pixel; a `fooled` one answers the first class for every hard image. By
    another producer it is another file.
    """
    weights_PK = np.eye(height * WIDTH, dtype=np.float32)[:, _lit_pixels(classes)]
    weights_PK[HARD, 0] = 5.0 if fooled else 0.0
    folder.mkdir(parents=True)
    onnx.save_model(_graph(weights_PK, height, producer), folder / MODEL_FILE)
    test = lit_dataset(classes=classes, height=height).test
    raw = test.form.encoding.raw(test.gather(slice(0, 8)))
    signature = Signature.of_classifier(test.form, len(classes))
    write_golden(folder, signature.input.name, raw, classify(open_session(folder / MODEL_FILE), raw))
    manifest = Manifest(
        model_name=name, architecture="cnn", classes=classes, signature=signature, temperature=1.0,
        data_digest=data_digest, recipe={"seed": 0}, metrics=metrics, environment={}, files={},
    )  # fmt: skip
    write_manifest(folder, manifest)
    return folder


def _graph(
    weights_PK: np.ndarray[tuple[int, ...], np.dtype[np.float32]], height: int, producer: str
) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["floats"], ["pixels"], axis=1),
        helper.make_node("MatMul", ["pixels", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    image = helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", height, WIDTH, 1])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", weights_PK.shape[1]])
        for name in ("logits", "probabilities")
    ]
    graph = helper.make_graph(
        nodes, "lit", [image], outputs, [numpy_helper.from_array(weights_PK, "weights")]
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10, producer_name=producer
    )
