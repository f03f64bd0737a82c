"""One image in each wire format, and the probabilities in its answer. H height, W width, C channels, K
classes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Probabilities = NDArray[np.float64]
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Format:
    """How to ask and how to read the answer."""

    name: str
    path: str
    encode: Callable[[Image], bytes]
    """[H, W, C] -> body."""
    decode: Callable[[Mapping[str, str], bytes], Probabilities]
    """Response headers (lower case) and body -> [K]."""
    headers: dict[str, str] = field(default_factory=lambda: dict(JSON))


def v2_tensor(image_HWC: Image) -> dict[str, Any]:
    """The image as a V2 input of one row."""
    return {
        "name": "images",
        "shape": [1, *image_HWC.shape],
        "datatype": "UINT8",
        "data": image_HWC.ravel().tolist(),
    }


def v2_json(path: str) -> Format:
    """Open Inference Protocol V2, pixels as numbers."""

    def encode(image_HWC: Image) -> bytes:
        return json.dumps({"inputs": [v2_tensor(image_HWC)], "outputs": [{"name": "probabilities"}]}).encode()

    def decode(_: Mapping[str, str], body: bytes) -> Probabilities:
        (output,) = (one for one in json.loads(body)["outputs"] if one["name"] == "probabilities")
        return np.array(output["data"], float).ravel()

    return Format("V2 JSON", path, encode, decode)


def v2_binary(path: str, image_shape: tuple[int, ...]) -> Format:
    """V2 with the binary tensor extension both ways: what tritonclient sends."""
    wanted = {"name": "probabilities", "parameters": {"binary_data": True}}
    size = {"binary_data_size": int(np.prod(image_shape))}
    tensor = {"name": "images", "shape": [1, *image_shape], "datatype": "UINT8", "parameters": size}
    head = json.dumps({"inputs": [tensor], "outputs": [wanted]}).encode()

    def decode(headers: Mapping[str, str], body: bytes) -> Probabilities:
        return np.frombuffer(body[int(headers["inference-header-content-length"]) :], "<f4").astype(float)

    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
    return Format("V2 binary", path, lambda image_HWC: head + image_HWC.tobytes(), decode, headers)


def invocations() -> Format:
    """MLflow's scoring protocol; both outputs come back, it cannot choose."""
    return Format(
        "/invocations",
        "/invocations",
        lambda image_HWC: json.dumps({"inputs": [image_HWC.tolist()]}).encode(),
        lambda _, body: np.array(json.loads(body)["predictions"]["probabilities"], float).ravel(),
    )


def plain_json(path: str, encode: Callable[[Image], object], decode: Callable[[Any], object]) -> Format:
    """A peer's own JSON."""
    return Format(
        "JSON", path, lambda image_HWC: json.dumps(encode(image_HWC)).encode(),
        lambda _, body: np.array(decode(json.loads(body)), float).ravel(),
    )  # fmt: skip
