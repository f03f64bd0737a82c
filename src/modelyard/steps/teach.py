"""Body of the step that asks a teacher about all training and test samples, by stored row.

N samples, K classes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.bundle import MODEL_BYTES, Manifest
from modelyard.data.datasets import Split, evaluated_rows
from modelyard.data.packed import open_packed
from modelyard.files import read_regular
from modelyard.inference.session import open_session
from modelyard.machine.cores import usable_cores
from modelyard.machine.how import How
from modelyard.samples.names import LOGITS
from modelyard.training.answers import ANSWERS_FILE
from modelyard.training.slices import EvaluateSlice


def run(slice: EvaluateSlice, given: Mapping[str, Path], out: Path, how: How) -> dict[str, Any]:
    """Leaves `answers.npz` in `out`: the mean of the calibrated logits of all teachers.

    Raises: BundleError when onnxruntime cannot load one.
    """
    dataset = open_packed(given["data"], verify=False)
    teachers = [Teacher(file) for file in sorted(given["teacher"].glob("*.onnx"))]
    parts = {"train": dataset.train, "test": dataset.test}
    answers = {
        name: np.mean([teacher.logits(split, dataset.classes) for teacher in teachers], 0)
        for name, split in parts.items()
    }
    np.savez(out / ANSWERS_FILE, **answers, allow_pickle=False)
    return {"device": "cpu", "processes": 1, "cores": usable_cores()}


class Teacher:
    """A copied bundle: its graph, and its manifest beside it."""

    def __init__(self, file: Path) -> None:
        self._manifest = Manifest.from_json(json.loads(file.with_suffix(".json").read_bytes()))
        self._session = open_session(read_regular(file, MODEL_BYTES))

    def logits(self, split: Split, classes: tuple[str, ...]) -> NDArray[np.float32]:
        """float32 [N, K] over its temperature, in the order of `classes`."""
        rows, signature = evaluated_rows(split.form), self._manifest.signature
        starts = range(0, len(split), rows)
        logits_NK = np.concatenate(
            [
                self._session.run(
                    [LOGITS], {signature.input.name: signature.raw(split.gather(slice(at, at + rows)))}
                )[0]
                for at in starts
            ]
        )
        order_K = [self._manifest.classes.index(name) for name in classes]
        return (logits_NK[:, order_K] / self._manifest.temperature).astype(np.float32)
