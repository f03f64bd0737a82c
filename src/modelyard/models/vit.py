"""A Vision Transformer as Hugging Face keeps it (`ViTForImageClassification`, `ViTModel`): it is the variant
`vit` of our Transformer by other names.

D model width.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from modelyard.errors import ConfigError
from modelyard.models.stated import Stated

MODEL_TYPE = "vit"
ARCHITECTURE = "transformer"
EXPECTED = {"hidden_act": "gelu", "qkv_bias": True, "num_channels": 3}
"""What ours does alike, and Hugging Face's does unless told otherwise."""
SIZES = {
    "patch_size": "patch", "hidden_size": "width", "num_hidden_layers": "layers",
    "num_attention_heads": "heads",
}  # fmt: skip
"""In config.json -> in ours."""
INNER = "intermediate_size"
NAMES = {
    "embeddings.cls_token": "stem.class_token",
    "embeddings.position_embeddings": "stem.positions",
    "embeddings.patch_embeddings.projection": "stem.patches",
    "layernorm": "norm",
    "classifier": "head",
}
LAYER = re.compile(r"encoder\.layer\.(\d+)\.(.+)\.(weight|bias)")
LAYERS = {
    "layernorm_before": "attention_norm",
    "layernorm_after": "mlp_norm",
    "attention.output.dense": "out",
    "intermediate.dense": "mlp.0",
    "output.dense": "mlp.2",
}
JOINED = tuple(f"attention.attention.{part}" for part in ("query", "key", "value"))
"""Ours multiplies by the three at once."""


def words(config: Mapping[str, Any]) -> list[str]:
    """What config.json says of the network, as `--set` takes it. Raises: ConfigError."""
    for name, expected in EXPECTED.items():
        if (received := config.get(name, expected)) != expected:
            raise ConfigError(f"config.json: {name}: expected {expected}, received {str(received)[:60]!r}")
    for name in (*SIZES, INNER):
        if type(size := config.get(name)) is not int or not 0 < size <= 2**16:
            raise ConfigError(f"config.json: {name}: expected a number, received {str(size)[:60]!r}")
    given = {ours: config[name] for name, ours in SIZES.items()} | {"variant": "vit"}
    if config[INNER] % given["width"]:
        raise ConfigError(
            f"config.json: {INNER}: expected a multiple of {given['width']}, received {config[INNER]}"
        )
    given["mlp_ratio"] = config[INNER] // given["width"]
    given["norm_epsilon"] = config.get("layer_norm_eps", 1e-12)
    side = config.get("image_size")
    size = Stated(size=(side, side) if type(side) is int else None).size_words()
    return [*(f"model.{name}={value}" for name, value in given.items()), *size]


def renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """By the names of ours; what has none there keeps its own."""
    given = {name.removeprefix("vit."): tensor for name, tensor in tensors.items()}
    found: dict[str, Tensor] = {}
    for name, tensor in given.items():
        whole, _, kind = name.rpartition(".")
        if layer := LAYER.fullmatch(name):
            number, part, kind = layer.groups()
            start = f"encoder.layer.{number}."
            if part == JOINED[0] and all(f"{start}{one}.{kind}" in given for one in JOINED):
                found[f"blocks.{number}.qkv.{kind}"] = torch.cat(
                    [given[f"{start}{one}.{kind}"] for one in JOINED]
                )
            elif part not in JOINED:
                found[f"blocks.{number}.{LAYERS[part]}.{kind}" if part in LAYERS else name] = tensor
        elif name in NAMES:
            found[NAMES[name]] = tensor
        else:
            found[f"{NAMES[whole]}.{kind}" if whole in NAMES else name] = tensor
    return found
