"""Bundles made by hand: small graphs whose right answers numpy knows, so that no training is needed.

B batch, H height, W width, C channels, K classes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from modelyard.bundle import MODEL_FILE, Manifest, write_golden, write_manifest
from modelyard.samples import ImageForm
from modelyard.samples.signature import Signature

IMAGE_SHAPE = (3, 5, 2)
CLASSES = ("apple", "pear", "plum", "fig")
PIXELS = int(np.prod(IMAGE_SHAPE))
FORBIDDEN_PIXEL = 200
"""Quirky models fail on an image whose first pixel has this value or more, and give NaN when its
second is 0.
"""


@dataclass(frozen=True)
class Linear:
    """softmax(weights @ pixels / 255): a model one can check by hand."""

    weights_PK: NDArray[np.float32]
    image_shape: tuple[int, int, int] = IMAGE_SHAPE

    @classmethod
    def seeded(cls, seed: int, image_shape: tuple[int, int, int] = IMAGE_SHAPE) -> Linear:
        generator = np.random.default_rng(seed)
        return cls(
            generator.normal(size=(int(np.prod(image_shape)), len(CLASSES))).astype(np.float32), image_shape
        )

    def logits(self, images_BHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        pixels_BP = images_BHWC.reshape(len(images_BHWC), -1).astype(np.float32) / np.float32(255)
        return np.asarray(pixels_BP @ self.weights_PK, np.float32)

    def probabilities(self, images_BHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        logits_BK = self.logits(images_BHWC)
        raised_BK = np.exp(logits_BK - logits_BK.max(1, keepdims=True))
        return np.asarray(raised_BK / raised_BK.sum(1, keepdims=True), np.float32)

    def graph(self, nodes: list[onnx.NodeProto] | None = None, **changes: Any) -> onnx.ModelProto:
        """The graph; `nodes` go between the logits `raw` and `logits`; `changes`: input, rows, classes."""
        shape = [changes.get("rows", "batch"), *self.image_shape]
        count = changes.get("classes", len(CLASSES))
        name = changes.get("input", "images")
        constants = {
            "scale": np.float32(255),
            "weights": self.weights_PK[:, :count],
            "table": np.zeros(FORBIDDEN_PIXEL, np.float32),
        }
        body = [
            helper.make_node("Cast", [name], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("Flatten", ["floats"], ["flat"]),
            helper.make_node("Div", ["flat", "scale"], ["pixels"]),
            helper.make_node("MatMul", ["pixels", "weights"], ["raw"]),
            *(nodes or [helper.make_node("Identity", ["raw"], ["logits"])]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ]
        outputs = [
            helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", count])
            for output in ("logits", "probabilities")
        ]
        graph = helper.make_graph(
            body, "linear", [helper.make_tensor_value_info(name, TensorProto.UINT8, shape)], outputs,
            [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()],
        )  # fmt: skip
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def quirks() -> list[onnx.NodeProto]:
    """Fails when the first pixel is 200 or more; NaN when the second is 0. Otherwise adds nothing."""
    make = helper.make_node
    return [
        make("Constant", [], ["first"], value_ints=[0]),
        make("Constant", [], ["second"], value_ints=[1]),
        make("Gather", ["flat", "first"], ["pixel0"], axis=1),
        make("Cast", ["pixel0"], ["index0"], to=TensorProto.INT64),
        make("Gather", ["table", "index0"], ["zero"]),
        make("Gather", ["flat", "second"], ["pixel1"], axis=1),
        make("Log", ["pixel1"], ["log1"]),
        make("Sub", ["log1", "log1"], ["zero_or_nan"]),
        make("Add", ["zero", "zero_or_nan"], ["zeros"]),
        make("Add", ["raw", "zeros"], ["logits"]),
    ]


def centred() -> list[onnx.NodeProto]:
    """A batch's rows depend on each other: merging requests would change their answers."""
    make = helper.make_node
    return [
        make("ReduceMean", ["raw"], ["mean"], axes=[0], keepdims=1),
        make("Sub", ["raw", "mean"], ["logits"]),
    ]


def slow(multiplications: int) -> list[onnx.NodeProto]:
    """Busy for some milliseconds a row: logits through products with a large matrix, times zero."""
    make = helper.make_node
    steps = [
        make("Constant", [], ["wide_shape"], value_ints=[len(CLASSES), 512]),
        make("ConstantOfShape", ["wide_shape"], ["widen"]),
        make("Constant", [], ["square_shape"], value_ints=[512, 512]),
        make("ConstantOfShape", ["square_shape"], ["square"]),
        make("Constant", [], ["narrow_shape"], value_ints=[512, len(CLASSES)]),
        make("ConstantOfShape", ["narrow_shape"], ["narrow"]),
        make("MatMul", ["raw", "widen"], ["wide0"]),
    ]
    steps += [make("MatMul", [f"wide{i}", "square"], [f"wide{i + 1}"]) for i in range(multiplications)]
    return [
        *steps,
        make("MatMul", [f"wide{multiplications}", "narrow"], ["nothing"]),
        make("Add", ["raw", "nothing"], ["logits"]),
    ]


def images(count: int, seed: int = 0, shape: tuple[int, int, int] = IMAGE_SHAPE) -> NDArray[np.uint8]:
    """Images [B, H, W, C] on which quirky models behave."""
    return np.random.default_rng(seed).integers(1, FORBIDDEN_PIXEL, (count, *shape), np.uint8)


def write_bundle(
    folder: Path,
    linear: Linear,
    *,
    model_name: str = "fruit",
    graph: onnx.ModelProto | None = None,
    architecture: str = "cnn",
) -> Path:
    """A sealed bundle; its golden answers are numpy's, or onnxruntime's own for a graph numpy
    does not know.
    """
    folder.mkdir(parents=True)
    onnx.save(graph or linear.graph(), folder / MODEL_FILE)
    golden_BHWC = images(5, 9, linear.image_shape)
    write_golden(folder, "images", golden_BHWC, linear.probabilities(golden_BHWC))
    write_manifest(
        folder,
        Manifest(
            model_name=model_name,
            architecture=architecture,
            classes=CLASSES,
            signature=Signature.of_classifier(ImageForm.from_hwc(linear.image_shape), len(CLASSES)),
            temperature=1.0,
            data_digest="0123abcd",
            recipe={"seed": 0},
            metrics={"test/accuracy": 0.5},
            environment={},
            files={},
        ),
    )
    return folder


def release(
    releases: Path, version: int, linear: Linear, *aliases: str, model: str = "fruit", **bundle: Any
) -> Path:
    """Publish a bundle as a version and point aliases at it."""
    folder = write_bundle(releases / model / str(version), linear, model_name=model, **bundle)
    for alias in aliases:
        point(releases, model, alias, version)
    return folder


def point(releases: Path, model: str, alias: str, version: int) -> None:
    """Move an alias as the registry does: by an atomic rename."""
    target = releases / model / f"{alias}.alias"
    scratch = target.with_name(f".{alias}.tmp")
    scratch.write_text(f"{version}\n")
    scratch.replace(target)


def reseal(folder: Path, **changes: object) -> None:
    """Change fields of the manifest, or only its digests after a file was replaced on purpose."""
    manifest = Manifest.from_json(json.loads((folder / "manifest.json").read_text()))
    kept = {name: getattr(manifest, name) for name in manifest.__slots__} | changes
    if "classes" in changes and "signature" not in changes:
        kept["signature"] = Signature.of_classifier(manifest.form, len(kept["classes"]))
    write_manifest(folder, Manifest(**kept))
