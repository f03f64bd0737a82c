"""The model repository that Triton and KServe load, written from the releases.

    DIR/<served name>/config.pbtxt, labels.txt, <version>/model.onnx

The names are those of `modelyard serve`: the champion of `mnist` is `mnist`, the best CNN `mnist-cnn`; the
version folder is the registry's number. So a client that moves to Triton changes its address only. The
format: Triton's `model_repository` and `model_configuration` pages, and `model_config.proto`.
"""

from __future__ import annotations

import asyncio
import filecmp
import json
import shutil
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from modelyard.bundle import MODEL_FILE, Bundle, as_json
from modelyard.errors import StoreError
from modelyard.files import folder_written_whole, write_json
from modelyard.inference.session import open_session
from modelyard.releases.folders import read_release
from modelyard.releases.pointers import Pointer, read_pointers
from modelyard.samples.names import PROBABILITIES
from modelyard.serving.models.trials import Trials
from modelyard.serving.options import ServeOptions
from modelyard.serving.protocol.inputs import INPUTS, Input
from modelyard.serving.protocol.tensors import WireTensor
from modelyard.terminal.printable import printable

CONFIG_FILE, LABELS_FILE = "config.pbtxt", "labels.txt"
MARK_FILE = "modelyard.json"
"""Says that the folder is ours, and what is in it; Triton reads only the folders beside it."""
MAX_BATCH = 64
"""The largest batch that the parity gate checks."""


def export_repository(releases: Path, target: Path) -> list[Pointer]:
    """Write or update `target`; a new folder appears whole, in an existing one each model is replaced by
    renames.

    Raises: StoreError when nothing is released or `target` holds anything that was not exported here;
    BundleError.
    """
    pointers = list(read_pointers(releases).values())
    if faults := [pointer.fault for pointer in pointers if pointer.fault]:
        raise StoreError(faults[0])
    if not pointers:
        raise StoreError(f"nothing is released below {releases}; start with: modelyard run")
    occupied = target.exists() and any(target.iterdir())
    if occupied and not (target / MARK_FILE).exists():
        raise StoreError(f"{target} is not empty and was not exported by modelyard; choose another folder")
    if target.exists() and not occupied:
        target.rmdir()
    defaults = ServeOptions(releases=releases)
    trials = Trials(defaults.load_timeout_s, defaults.load_memory_mb)
    with folder_written_whole(target) as scratch, closing(trials):
        for pointer in pointers:
            release = releases / pointer.model / pointer.version
            asyncio.run(trials.attempt(release))
            _write_model(pointer, read_release(release), scratch / pointer.name)
        write_json(
            scratch / MARK_FILE, {"models": {pointer.name: int(pointer.version) for pointer in pointers}}
        )
        if occupied:
            _update(target, scratch, pointers)
    return pointers


def _write_model(pointer: Pointer, bundle: Bundle, folder: Path) -> None:
    version = folder / pointer.version
    version.mkdir(parents=True)
    (version / MODEL_FILE).write_bytes(bundle.model)
    for name, content in bundle.others.items():  # a client makes the input with it
        (folder / name).write_bytes(content)
    (folder / LABELS_FILE).write_text("".join(f"{printable(name)}\n" for name in bundle.manifest.classes))
    (folder / CONFIG_FILE).write_text(triton_config(pointer, bundle))


def _update(target: Path, scratch: Path, pointers: Iterable[Pointer]) -> None:
    """New version first, then the configuration that names it, then the old one goes: a polling Triton never
    sees a gap.
    """
    for pointer in pointers:
        new, old = scratch / pointer.name, target / pointer.name
        if not old.exists():
            new.rename(old)
            continue
        (old / pointer.version).mkdir(exist_ok=True)
        beside = [path.relative_to(new) for path in new.iterdir() if path.is_file()]
        beside.sort(key=lambda path: path.name == CONFIG_FILE)
        for file in (Path(pointer.version, MODEL_FILE), *beside):
            if not (old / file).exists() or not filecmp.cmp(new / file, old / file, shallow=False):
                (new / file).replace(
                    old / file
                )  # an unchanged file keeps its time, by which Triton sees changes
        _remove(old, keep={pointer.version})
    (scratch / MARK_FILE).replace(target / MARK_FILE)
    _remove(target, keep={pointer.name for pointer in pointers})


def _remove(folder: Path, keep: set[str]) -> None:
    for child in folder.iterdir():
        if child.is_dir() and child.name not in keep:
            shutil.rmtree(child)


def triton_config(pointer: Pointer, bundle: Bundle) -> str:
    """`config.pbtxt` of one model, its tensors read from the ONNX graph. Raises: BundleError for a fixed
    batch axis.
    """
    session = open_session(bundle.model, threads=1)
    signature = bundle.manifest.signature
    layout, read = f" format: {signature.names.layout}", INPUTS[signature.encoding]()
    tensors: list[tuple[str, str, Input | WireTensor]] = [
        *(("input", layout, read.of_graph(node, signature.form)) for node in session.get_inputs()),
        *(
            ("output", "", WireTensor.from_graph(node.name, node.type, node.shape))
            for node in session.get_outputs()
        ),
    ]
    lines = [
        f"name: {json.dumps(pointer.name)}",
        'platform: "onnxruntime_onnx"',
        f'default_model_filename: "{MODEL_FILE}"',
        f"max_batch_size: {MAX_BATCH}",
        *(_tensor(field, layout, spec) for field, layout, spec in tensors),
        f"version_policy {{ specific {{ versions: [{pointer.version}] }} }}",
        "dynamic_batching {}",
        f'parameters {{ key: "data_digest" value {{ string_value: '
        f"{json.dumps(bundle.manifest.data_digest)} }} }}",
        f'parameters {{ key: "reading" value {{ string_value: '
        f"{json.dumps(as_json(asdict(bundle.manifest.reading)))} }} }}",
    ]
    return "\n".join(lines) + "\n"


def _tensor(field: str, layout: str, spec: Input | WireTensor) -> str:
    labels = f' label_filename: "{LABELS_FILE}"' if spec.name == PROBABILITIES else ""
    dims = list(spec.row_shape)
    return (
        f"{field} {{ name: {json.dumps(spec.name)} data_type: {spec.config_type} dims: "
        f"{dims}{layout}{labels} }}"
    )
