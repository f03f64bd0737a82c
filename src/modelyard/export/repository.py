"""The model repository that Triton and KServe load, written from the releases.

    DIR/<served name>/config.pbtxt, labels.txt, <version>/model.onnx

The names are those of `modelyard serve`: the champion of `mnist` is `mnist`, the best CNN `mnist-cnn`; the version folder
is the registry's number. So a client that moves to Triton changes its address only. The format: Triton's
`model_repository` and `model_configuration` pages, and `model_config.proto`.
"""

from __future__ import annotations

import filecmp
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import onnx

from modelyard.bundle import MODEL_FILE, Manifest, open_bundle
from modelyard.errors import StoreError
from modelyard.files import folder_written_whole, write_json

CONFIG_FILE, LABELS_FILE = "config.pbtxt", "labels.txt"
MARK_FILE = "modelyard.json"
"""Says that the folder is ours, and what is in it; Triton reads only the folders beside it."""
MAX_BATCH = 64
"""The largest batch that the parity gate checks."""
LABELLED = "probabilities"


@dataclass(frozen=True, slots=True)
class Served:
    """One alias of one registered model."""

    name: str
    version: int
    release: Path


def served_aliases(releases: Path) -> list[Served]:
    """Every alias below the release folder under the name it is served by."""
    served = []
    for alias in sorted(releases.glob("*/*.alias")):
        model, number = alias.parent.name, alias.read_text().strip()
        name = model if alias.stem == "champion" else f"{model}-{alias.stem}"
        served.append(Served(name, int(number), alias.parent / number))
    return served


def export_repository(releases: Path, target: Path) -> list[Served]:
    """Write or update `target`; a new folder appears whole, in an existing one each model is replaced by renames.

    Raises: StoreError when nothing is released or `target` holds anything that was not exported here; BundleError.
    """
    served = served_aliases(releases)
    if not served:
        raise StoreError(f"nothing is released below {releases}; start with: modelyard run")
    occupied = target.exists() and any(target.iterdir())
    if occupied and not (target / MARK_FILE).exists():
        raise StoreError(f"{target} is not empty and was not exported by modelyard; choose another folder")
    if target.exists() and not occupied:
        target.rmdir()
    with folder_written_whole(target) as scratch:
        for one in served:
            _write_model(one, scratch / one.name)
        write_json(scratch / MARK_FILE, {"models": {one.name: one.version for one in served}})
        if occupied:
            _update(target, scratch, served)
    return served


def _write_model(served: Served, folder: Path) -> None:
    manifest = open_bundle(served.release)
    version = folder / str(served.version)
    version.mkdir(parents=True)
    shutil.copyfile(served.release / MODEL_FILE, version / MODEL_FILE)
    (folder / LABELS_FILE).write_text("".join(f"{name}\n" for name in manifest.classes))
    (folder / CONFIG_FILE).write_text(triton_config(served, manifest))


def _update(target: Path, scratch: Path, served: list[Served]) -> None:
    """New version first, then the configuration that names it, then the old one goes: a polling Triton never sees a gap."""
    for one in served:
        new, old = scratch / one.name, target / one.name
        if not old.exists():
            new.rename(old)
            continue
        (old / str(one.version)).mkdir(exist_ok=True)
        for file in (Path(str(one.version), MODEL_FILE), Path(LABELS_FILE), Path(CONFIG_FILE)):
            if not (old / file).exists() or not filecmp.cmp(new / file, old / file, shallow=False):
                (new / file).replace(old / file)  # an unchanged file keeps its time, by which Triton sees changes
        _remove(old, keep={str(one.version)})
    (scratch / MARK_FILE).replace(target / MARK_FILE)
    _remove(target, keep={one.name for one in served})


def _remove(folder: Path, keep: set[str]) -> None:
    for child in folder.iterdir():
        if child.is_dir() and child.name not in keep:
            shutil.rmtree(child)


def triton_config(served: Served, manifest: Manifest) -> str:
    """`config.pbtxt` of one model: tensors from its ONNX graph, batching where the graph's first axis is free."""
    graph = onnx.load(served.release / MODEL_FILE, load_external_data=False).graph
    batched = all(not value.type.tensor_type.shape.dim[0].HasField("dim_value") for value in (*graph.input, *graph.output))
    tensors = [_tensor("input", value, batched=batched) for value in graph.input]
    tensors += [_tensor("output", value, batched=batched) for value in graph.output]
    lines = [
        f"name: {json.dumps(served.name)}",
        'platform: "onnxruntime_onnx"',
        f'default_model_filename: "{MODEL_FILE}"',
        f"max_batch_size: {MAX_BATCH if batched else 0}",
        *tensors,
        f"version_policy {{ specific {{ versions: [{served.version}] }} }}",
        *(["dynamic_batching {}"] if batched else []),
        f'parameters {{ key: "data_digest" value {{ string_value: "{manifest.data_digest}" }} }}',
    ]
    return "\n".join(lines) + "\n"


def _tensor(field: str, value: onnx.ValueInfoProto, *, batched: bool) -> str:
    shape = [dim.dim_value or -1 for dim in value.type.tensor_type.shape.dim][int(batched) :]
    kind = onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type)
    triton_kind = {"FLOAT": "FP32", "DOUBLE": "FP64", "FLOAT16": "FP16", "BFLOAT16": "BF16"}.get(kind, kind)
    labels = f' label_filename: "{LABELS_FILE}"' if value.name == LABELLED else ""
    return f"{field} {{ name: {json.dumps(value.name)} data_type: TYPE_{triton_kind} dims: {shape}{labels} }}"
