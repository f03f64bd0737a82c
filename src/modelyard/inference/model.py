"""A released model in a program: onnxruntime and numpy only, pillow for image files.

N samples, K classes.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.bundle import Bundle
from modelyard.home import Home
from modelyard.inference.files import released_folder
from modelyard.inference.reading import reader_of
from modelyard.inference.session import classify, open_session
from modelyard.releases.folders import read_release

SHOWN = 20
"""Rows of a prediction in a notebook."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answers for N samples."""

    classes: tuple[str, ...]
    probabilities: NDArray[np.float32]
    """[N, K]"""
    heading: str = "sample"
    """What one is called."""
    rows: Sequence[str] = ()
    """What each was, for people; empty: its number is enough."""

    @property
    def labels(self) -> list[str]:
        """The most probable class of each."""
        return [self.classes[index] for index in self.probabilities.argmax(1)]

    @property
    def confidences(self) -> NDArray[np.float32]:
        """[N] the probability of that class."""
        best_N: NDArray[np.float32] = self.probabilities.max(1)
        return best_N

    def __len__(self) -> int:
        return len(self.probabilities)

    def _repr_html_(self) -> str:
        names = [html.escape(row) for row in self.rows[:SHOWN]] or range(SHOWN)
        cells = zip(names, self.labels, self.confidences, strict=False)
        rows = "".join(
            f"<tr><td>{row}</td><td>{html.escape(label)}</td><td>{p:.1%}</td></tr>" for row, label, p in cells
        )
        more = f"<p>and {len(self) - SHOWN} more</p>" if len(self) > SHOWN else ""
        return (
            f"<table><tr><th>{self.heading}</th><th>label</th><th>probability</th></tr>{rows}</table>{more}"
        )


class Model:
    """One released version, checked against its manifest and its ledger when it was opened."""

    def __init__(self, bundle: Bundle) -> None:
        """Raises: BundleError when onnxruntime cannot load it."""
        self.folder = bundle.folder
        self.manifest = bundle.manifest
        self._session = open_session(bundle.model)
        self._reader = reader_of(bundle)

    @property
    def name(self) -> str:
        """As `modelyard models show` takes it."""
        return f"{self.manifest.model_name}@{self.folder.name}"

    @property
    def classes(self) -> tuple[str, ...]:
        """Names, in the order of the probabilities."""
        return self.manifest.classes

    def predict(self, samples: Any) -> Prediction:
        """Classify what the model was trained on: raw pixels uint8 [N, H, W, C] (or [H, W, C]; without C
        where it is 1), image files or pillow's images; texts (str) in a list, an array or a column of a
        table, or their files (Path). One alone need not be in a list.

        They are brought to the model's form as `modelyard predict` does it.
        Raises: DataError for arrays of another shape or type, and for what cannot be read.
        """
        given = self._reader.given(samples)
        answers = [classify(self._session, raw) for raw in given.batches]
        none_0K = np.empty((0, len(self.classes)), np.float32)
        one = self.manifest.signature.names.one
        return Prediction(self.classes, np.concatenate([none_0K, *answers]), one, given.rows)

    def __repr__(self) -> str:
        told = self._reader.told
        return f"<Model {self.name}: {self.manifest.architecture}, {told}, {len(self.classes)} classes>"

    def _repr_html_(self) -> str:
        accuracy = self.manifest.metrics.get("test/accuracy")
        told = {
            "model": self.name,
            "architecture": self.manifest.architecture,
            **self._reader.facts,
            "classes": ", ".join(self.classes[:SHOWN]),
            "data": self.manifest.data_digest[:16],
            "test accuracy": "unknown" if accuracy is None else f"{accuracy:.2%}",
        }
        rows = "".join(
            f"<tr><th>{title}</th><td>{html.escape(fact)}</td></tr>" for title, fact in told.items()
        )
        return f"<table>{rows}</table>"


def load(model: str = "") -> Model:
    """The released `name@alias` or `name@number` of this store; without a name the only model's champion.

    Raises: StoreError when there is none, BundleError when it is not the one that was registered.
    """
    return Model(read_release(released_folder(Home.current(), model)))
