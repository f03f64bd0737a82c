"""Does this tree make what a former commit made? Weights, ONNX files and answers, compared byte for byte.

    python -m benchmarks.former --former COMMIT [--data mnist] [--presets tiny ...] [--except sprint tiny/rnn]

The former commit is checked out into a temporary folder. Each tree runs `python -m modelyard run --json` in
processes of its own, on an empty store, with the same cores and seed and with float32 (`auto` measures, so
that two runs may choose differently). Exit code 1: something differs that no `--except` names.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import numpy_helper
from safetensors.numpy import load_file

HERE = Path(__file__).parents[1]
ARCHITECTURES = ("cnn", "rnn", "transformer", "lenet", "lstm", "vit")
PRESETS = {"digits": ("smoke", "sprint", "tiny", "standard", "quality"), "mnist": ("sprint",)}
IMAGES = 256
MAY_DIFFER = ("signature", "schema_version", "image_shape")
"""Of the metadata: how an input is told of."""
Parts = dict[str, dict[str, Any]]
"""Part -> name -> what must be equal."""


@dataclass(frozen=True, slots=True)
class Made:
    """What a run made of one architecture."""

    weights: dict[str, NDArray[Any]]
    graph: onnx.ModelProto
    golden: dict[str, NDArray[Any]]

    def parts(self, images_BHWC: NDArray[np.uint8]) -> Parts:
        """All that is compared."""
        session = onnxruntime.InferenceSession(
            self.graph.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        names = [output.name for output in session.get_outputs()]
        answers = session.run(names, {session.get_inputs()[0].name: images_BHWC})
        told = {each.key: _without_none(_parsed(each.value)) for each in self.graph.metadata_props}
        return {
            "weights": self.weights,
            "initialisers": {each.name: numpy_helper.to_array(each) for each in self.graph.graph.initializer},
            "nodes": {
                f"{number} {node.op_type}": node.SerializeToString()
                for number, node in enumerate(self.graph.graph.node)
            },
            "answers": dict(zip(names, answers, strict=True)),
            "golden": self.golden,
            "metadata": {key: value for key, value in told.items() if key not in MAY_DIFFER},
        }


def made(store: Path) -> dict[str, Made]:
    """Architecture and variant -> what lies in a store's steps. Nothing else here knows how steps are kept.

    A bundle is a folder with an ONNX file, a manifest and golden samples. Its weights lie in the folder with
    a safetensors file and a JSON document that holds the same model.
    """
    trainings = {path: [_parsed(each.read_text()) for each in path.parent.glob("*.json")]
                 for path in store.glob("steps/*/*.safetensors")}  # fmt: skip
    results: dict[str, Made] = {}
    for path in sorted(store.glob("steps/*/manifest.json")):
        model = _without_none(json.loads(path.read_text())["recipe"]["model"])
        (weights,) = [
            file for file, documents in trainings.items() if any(_holds(each, model) for each in documents)
        ]
        (graph,), (golden,) = path.parent.glob("*.onnx"), path.parent.glob("*.npz")
        with np.load(golden) as samples:
            results[f"{model['architecture']}/{model.get('variant', model.get('name'))}"] = Made(
                load_file(weights), onnx.load(graph), {name: samples[name] for name in samples.files}
            )
    return results


def test_images(store: Path) -> NDArray[np.uint8]:
    """Some test images [B, H, W, C] of a former store's prepared data."""
    (path,) = store.glob("steps/data-*/test_images.npy")
    return np.ascontiguousarray(np.load(path)[:IMAGES].transpose(0, 2, 3, 1))


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _without_none(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _without_none(value) for key, value in tree.items() if value is not None}
    return tree


def _holds(tree: Any, model: dict[str, Any]) -> bool:
    """Whether a document has this table somewhere."""
    if isinstance(tree, dict):
        return _without_none(tree) == model or any(_holds(value, model) for value in tree.values())
    return False


def first_difference(former: dict[str, Any], ours: dict[str, Any]) -> str:
    """Empty where all is equal to the last bit."""
    for name in dict.fromkeys([*former, *ours]):
        if name not in former or name not in ours:
            return f"{name}: only {'here' if name in ours else 'there'}"
        before, now = former[name], ours[name]
        if not isinstance(before, np.ndarray):
            if before != now:
                return f"{name}: {str(before)[:60]} -> {str(now)[:60]}"
        elif (before.dtype, before.shape) != (now.dtype, now.shape):
            return f"{name}: {before.dtype}{before.shape} -> {now.dtype}{now.shape}"
        elif before.tobytes() != now.tobytes():
            return f"{name}: by {np.abs(before.astype(float) - now.astype(float)).max():.1e} at most"
    return ""


@contextmanager
def checked_out(commit: str, folder: Path) -> Iterator[Path]:
    """The tree of a commit."""
    git = ["git", "-C", str(HERE), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(folder), commit], check=True)
    try:
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=True)


def run(tree: Path, folder: Path, words: list[str]) -> Path:
    """`modelyard run` with a tree's source; the store that it filled."""
    foreign = ("MODELYARD_", "MLFLOW_", "PREFECT_")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(foreign) or name == "MODELYARD_DATA"
    }
    store, path = folder / "store", f"{tree / 'src'}{os.pathsep}{tree}"
    environment = kept | {
        "PYTHONPATH": path,
        "MODELYARD_HOME": str(store),
        "MODELYARD_CACHE": str(folder / "cache"),
    }
    folder.mkdir(parents=True)

    def called(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, "-P", *command],
            env=environment,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"the run of {tree} ended with code {done.returncode}:\n{done.stderr[-2000:]}")
        return done.stdout

    source = called("-c", "import modelyard; print(modelyard.__file__)")
    assert Path(source).is_relative_to(tree), f"{source} is not of {tree}"
    called("-m", "modelyard", "run", "--json", *words)
    return store


def compare(former: Path, ours: Path, preset: str, expected: list[str]) -> bool:
    """A line for each architecture and part; whether all that differs was expected."""
    images_BHWC = test_images(former)
    before, now = made(former), made(ours)
    assert before and before.keys() == now.keys(), f"made there {sorted(before)}, here {sorted(now)}"
    is_well = True
    for label, there in before.items():
        is_expected = any(fnmatch(f"{preset}/{label}", f"{pattern}*") for pattern in expected)
        parts = there.parts(images_BHWC), now[label].parts(images_BHWC)
        for part, values in parts[0].items():
            difference = first_difference(values, parts[1][part])
            told = (
                f"DIFFERENT{' (expected)' * is_expected}  {difference}"
                if difference
                else f"equal, {len(values)}"
            )
            print(f"{preset:>9}  {label:<20} {part:<13} {told}", flush=True)
            is_well = is_well and (not difference or is_expected)
    return is_well


def main() -> int:
    """Run both, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--former", required=True, help="a commit")
    parser.add_argument("--data", choices=list(PRESETS), default="digits")
    parser.add_argument("--presets", nargs="+", help="default: all on digits, sprint on mnist")
    parser.add_argument("--architectures", nargs="+", default=list(ARCHITECTURES))
    parser.add_argument(
        "--except", dest="expected", nargs="+", default=[], help="may differ: PRESET or PRESET/ARCHITECTURE"
    )
    parser.add_argument(
        "--set", dest="changes", nargs="+", default=[], help="recipe values of both: training.epochs=1"
    )
    given = parser.parse_args()
    words = ["--dataset", given.data, "--seed", "0", "--device", "cpu"]
    words += [word for name in given.architectures for word in ("-a", name)]
    words += [word for change in ("training.precision=fp32", *given.changes) for word in ("--set", change)]
    is_well = True
    with TemporaryDirectory() as name, checked_out(given.former, Path(name) / "tree") as tree:
        for preset in given.presets or PRESETS[given.data]:
            folder = Path(name) / preset
            stores = [
                run(at, folder / side, [*words, "--preset", preset])
                for side, at in (("there", tree), ("here", HERE))
            ]
            is_well = compare(stores[0], stores[1], preset, given.expected) and is_well
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
