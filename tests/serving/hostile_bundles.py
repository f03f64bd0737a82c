"""What somebody who can write below the releases may put there: each makes a release unfit, and may hang its
reader.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from modelyard.bundle import GOLDEN_FILE, MANIFEST_FILE, MODEL_FILE
from tests.serving.bundles import CLASSES, IMAGE_SHAPE, Linear, reseal

FOREVER = 2**62
Harm = Callable[[Path], None]


def _replace(file: Path, put: Callable[[Path], None]) -> None:
    file.unlink()
    put(file)


def _edit(folder: Path, **changes: Any) -> None:
    path = folder / MANIFEST_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _reform(folder: Path, **sides: object) -> None:
    signature = json.loads((folder / MANIFEST_FILE).read_text())["signature"]
    _edit(folder, signature=signature | {"form": signature["form"] | sides})


def _graph(folder: Path, nodes: list[onnx.NodeProto]) -> None:
    onnx.save(Linear.seeded(1).graph(nodes), folder / MODEL_FILE)
    reseal(folder)


def loop(folder: Path) -> None:
    """A graph that is small, valid and never ends."""
    make = helper.make_node
    numbers = helper.make_tensor_value_info
    body = helper.make_graph(
        [make("Identity", ["go"], ["go_on"]), make("Add", ["sum", "sum"], ["next"])],
        "body",
        [
            numbers("step", TensorProto.INT64, []),
            numbers("go", TensorProto.BOOL, []),
            numbers("sum", TensorProto.FLOAT, None),
        ],
        [numbers("go_on", TensorProto.BOOL, []), numbers("next", TensorProto.FLOAT, None)],
    )
    _graph(
        folder,
        [
            make("Constant", [], ["times"], value_ints=[FOREVER]),
            make("Loop", ["times", "", "raw"], ["logits"], body=body),
        ],
    )


def gigabytes(folder: Path) -> None:
    """3 GB in the making of the session."""
    make = helper.make_node
    _graph(
        folder,
        [
            make("Constant", [], ["shape"], value_ints=[750_000_000]),
            make("ConstantOfShape", ["shape"], ["zeros"]),
            make("ReduceSum", ["zeros"], ["zero"], keepdims=0),
            make("Add", ["raw", "zero"], ["logits"]),
        ],
    )


def external(folder: Path, name: str = "w.bin", *, listed: bool = False) -> None:
    """Weights in a file beside the model: onnxruntime reads it, and no digest covers it."""
    model = Linear.seeded(1).graph()
    onnx.save(model, folder / MODEL_FILE, save_as_external_data=True, location=name, size_threshold=0)
    reseal(folder)
    if listed:
        _edit(
            folder,
            files=json.loads((folder / MANIFEST_FILE).read_text())["files"] | {name: _sha256(folder / name)},
        )


def _sha256(path: Path) -> str:
    from modelyard.files import sha256_of_file

    return sha256_of_file(path)


def listed_external(folder: Path) -> None:
    external(folder, listed=True)


def listed_vast(folder: Path) -> None:
    """A file of a terabyte that is listed; it takes no room."""
    (folder / "notes.txt").touch()
    os.truncate(folder / "notes.txt", 2**40)
    _edit(folder, files=json.loads((folder / MANIFEST_FILE).read_text())["files"] | {"notes.txt": "0" * 64})


def unlisted(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")


def _golden(folder: Path, rows: int, megabytes: int) -> None:
    """Golden images of so many rows by their header, which are zeros and so packed a thousandfold."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (rows, *IMAGE_SHAPE)}
    with (
        zipfile.ZipFile(folder / GOLDEN_FILE, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("images.npy", "w") as stream,
    ):
        np.lib.format.write_array_header_1_0(stream, header)
        for _ in range(megabytes):
            stream.write(bytes(2**20))
    reseal(folder)


def _nest(file: Path) -> None:
    file.write_text("[" * 200_000)


def _zero(file: Path) -> None:
    file.symlink_to("/dev/zero")


UNFIT: dict[str, tuple[Harm, str]] = {
    "loop": (loop, "did not answer its golden samples within"),
    "gigabytes": (gigabytes, "cannot answer its golden samples"),
    "external": (external, "holds 'w.bin', which its manifest does not list"),
    "listed-external": (listed_external, "External data path"),
    "unlisted": (unlisted, "holds 'notes.txt', which its manifest does not list"),
    "bomb": (lambda folder: _golden(folder, 7_000_000, 30), "expected at most 256 images"),
    "lying": (lambda folder: _golden(folder, 5, 30), "another length than its header says"),
    "zeros": (lambda folder: _replace(folder / GOLDEN_FILE, _zero), "not a regular file"),
    "model-zeros": (lambda folder: _replace(folder / MODEL_FILE, _zero), "not a regular file"),
    "fifo": (lambda folder: _replace(folder / MANIFEST_FILE, os.mkfifo), "not a regular file"),
    "folder": (lambda folder: _replace(folder / MANIFEST_FILE, Path.mkdir), "not a whole bundle"),
    "deep": (lambda folder: _replace(folder / MANIFEST_FILE, _nest), "too deep"),
    "nan": (lambda folder: _edit(folder, metrics={"a": float("nan")}), "NaN is no number"),
    "infinite": (lambda folder: _edit(folder, temperature=float("inf")), "Infinity is no number"),
    "cold": (lambda folder: _edit(folder, temperature=0), "another type: temperature"),
    "truth": (lambda folder: _reform(folder, channels=True), "expected height, width and channels"),
    "negative": (lambda folder: _reform(folder, height=-3, width=-5), "expected height, width and channels"),
    "vast": (lambda folder: _reform(folder, height=2**40), "expected height, width and channels"),
    "other-form": (lambda folder: _reform(folder, height=4), "signature: fields missing, unknown or unfit"),
    "half-letter": (lambda folder: _edit(folder, classes=["\ud800", *CLASSES[1:]]), "another type: classes"),
    "half-name": (lambda folder: _edit(folder, metrics={"\udfff": 1.0}), "another type: metrics"),
    "googol": (lambda folder: _edit(folder, metrics={"a": 10**100}), "another type: metrics"),
    "listed-vast": (listed_vast, "larger than 268435456 bytes"),
    "twins": (lambda folder: _edit(folder, classes=[CLASSES[0]] * len(CLASSES)), "another type: classes"),
    "upwards": (lambda folder: _edit(folder, model_name="../x"), "another type: model_name"),
    "fields": (
        lambda folder: _edit(folder, **{f"field{n}": 0 for n in range(1500)}),
        "fields missing, unknown",
    ),
}
"""What was done to a release, and what is said of it."""
