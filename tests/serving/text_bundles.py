"""Bundles of texts made by hand: a graph of stock operators that counts letters, which Python knows, too.

B batch, L length, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models

from modelyard.bundle import MODEL_FILE, Manifest, write_golden, write_manifest
from modelyard.samples import TextForm
from modelyard.samples.signature import Signature
from modelyard.samples.subwords import TOKENIZER_FILE, adapted
from modelyard.samples.text import AS_READ
from modelyard.samples.text_form import padded
from tests.serving.bundles import point

CLASSES = ("ants", "bees", "cats", "dogs")
LETTERS = "abcd"
FORBIDDEN = "z"
"""The graph fails on a text that has it."""
PAD = "\x01"
GOLDEN = ("abba", "", "dddd dd", "a cab and a bad dad", "中文 abc 🎈", "b" * 40, "nothing", "e\u0301 cc")
TEXTS = ("a bad cab", "", "dad", "🎈 中文 c", "b" * 300)


@dataclass(frozen=True)
class Counts:
    """softmax(how often each class's letter is among the first `longest` characters, times a weight)."""

    weight: float = 0.25
    longest: int = 64

    def logits(self, texts: Sequence[str]) -> NDArray[np.float32]:
        counts_BK = [[text[: self.longest].count(letter) for letter in LETTERS] for text in texts]
        return np.array(counts_BK, np.float32) * np.float32(self.weight)

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float32]:
        raised_BK = np.exp(self.logits(texts))
        return np.asarray(raised_BK / raised_BK.sum(1, keepdims=True), np.float32)

    def graph(
        self, nodes: list[onnx.NodeProto] | None = None, *, encoding: str = "strings"
    ) -> onnx.ModelProto:
        """The graph; `nodes` go between the logits `raw` and `logits`."""
        taken, front = FRONTS[encoding]
        one_hot_SK = np.vstack([np.zeros((1, 4)), np.eye(4)]).astype(np.float32)
        numbers_C = np.zeros(256, np.int64)
        numbers_C[[*map(ord, LETTERS)]] = range(1, 5)
        numbers_C[ord(FORBIDDEN)] = 9
        constants = {
            "weight": np.float32(self.weight), "one_hot": one_hot_SK, "numbers": numbers_C, "flat": [-1],
            "zero": [0], "longest": [self.longest], "one": [1],
            "of_ids": [0, 1, 2, 3, 4, 9, 0],
        }  # fmt: skip
        body = [
            *front,
            helper.make_node("Slice", ["symbols", "zero", "longest", "one"], ["read"]),
            helper.make_node("Gather", ["one_hot", "read"], ["hot"]),
            helper.make_node("ReduceSum", ["hot", "one"], ["counts"], keepdims=0),
            helper.make_node("Mul", ["counts", "weight"], ["raw"]),
            *(nodes or [helper.make_node("Identity", ["raw"], ["logits"])]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ]
        outputs = [
            helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", 4])
            for output in ("logits", "probabilities")
        ]
        initial = [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()]
        domains = {"": 20, "ai.onnx.ml": 4, "com.microsoft": 1}
        imports = [helper.make_opsetid(name, version) for name, version in domains.items()]
        return helper.make_model(
            helper.make_graph(body, "counts", [taken], outputs, initial), opset_imports=imports, ir_version=9
        )


FRONTS = {
    "strings": (
        helper.make_tensor_value_info("texts", TensorProto.STRING, ["batch", 1]),
        [
            helper.make_node("Reshape", ["texts", "flat"], ["each"]),
            helper.make_node(
                "Tokenizer", ["each"], ["characters"], domain="com.microsoft",
                mark=0, mincharnum=1, pad_value=PAD, separators=[""],
            ),
            helper.make_node(
                "LabelEncoder", ["characters"], ["symbols"], domain="ai.onnx.ml",
                keys_strings=[*LETTERS, FORBIDDEN], values_int64s=[1, 2, 3, 4, 9], default_int64=0,
            ),
        ],
    ),
    "bytes": (
        helper.make_tensor_value_info("bytes", TensorProto.UINT8, ["batch", "length"]),
        [
            helper.make_node("Cast", ["bytes"], ["wide"], to=TensorProto.INT64),
            helper.make_node("Gather", ["numbers", "wide"], ["symbols"]),
        ],
    ),
    "ids": (
        helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "length"]),
        [helper.make_node("Gather", ["of_ids", "ids"], ["symbols"])],
    ),
}  # fmt: skip
"""Encoding -> what the graph takes, and the nodes that make symbols [B, L] of it."""


def tokenizer(longest: int) -> str:
    """Each character is a subword: the letters, the forbidden one, and one for all others."""
    words = ("[PAD]", *LETTERS, FORBIDDEN, "[UNK]")
    made = Tokenizer(models.BPE({word: at for at, word in enumerate(words)}, [], unk_token="[UNK]"))
    return adapted(made.to_str().encode(), 0, longest)


def write_text_bundle(
    folder: Path,
    counts: Counts,
    *,
    encoding: str = "strings",
    graph: onnx.ModelProto | None = None,
    model_name: str = "letters",
    architecture: str = "text-cnn",
    golden: Sequence[str] = GOLDEN,
) -> Path:
    """A sealed bundle; its golden answers are Python's."""
    folder.mkdir(parents=True)
    onnx.save(graph or counts.graph(encoding=encoding), folder / MODEL_FILE)
    signature = Signature.of_classifier(TextForm(counts.longest), len(CLASSES), encoding)
    if signature.files:
        (folder / TOKENIZER_FILE).write_text(tokenizer(counts.longest))
    kept = padded([text.encode() for text in golden])
    write_golden(folder, signature.input.name, kept, counts.probabilities(golden))
    write_manifest(
        folder,
        Manifest(
            model_name=model_name,
            architecture=architecture,
            classes=CLASSES,
            signature=signature,
            temperature=1.0,
            data_digest="0123abcd",
            recipe={"seed": 0},
            metrics={"test/accuracy": 0.5},
            environment={},
            files={},
            reading=AS_READ,
        ),
    )
    return folder


def release_texts(
    releases: Path, version: int, counts: Counts, *aliases: str, model: str = "letters", **bundle: Any
) -> Path:
    """Publish a bundle as a version and point aliases at it."""
    folder = write_text_bundle(releases / model / str(version), counts, model_name=model, **bundle)
    for alias in aliases:
        point(releases, model, alias, version)
    return folder
