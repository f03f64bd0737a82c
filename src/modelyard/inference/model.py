"""A released model in a program: onnxruntime and numpy only, pillow for image files.

N images, H height, W width, C channels, K classes.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modelyard.bundle import Bundle
from modelyard.errors import DataError
from modelyard.home import Home
from modelyard.inference.files import released_folder
from modelyard.inference.session import classify, open_session
from modelyard.releases.folders import read_release

if TYPE_CHECKING:
    from PIL.Image import Image

Images = NDArray[np.uint8] | Sequence["str | Path | Image"] | str | Path
SHOWN = 20
"""Rows of a prediction in a notebook."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answers for N images."""

    classes: tuple[str, ...]
    probabilities: NDArray[np.float32]
    """[N, K]"""

    @property
    def labels(self) -> list[str]:
        """The most probable class of each image."""
        return [self.classes[index] for index in self.probabilities.argmax(1)]

    @property
    def confidences(self) -> NDArray[np.float32]:
        """[N] the probability of that class."""
        best_N: NDArray[np.float32] = self.probabilities.max(1)
        return best_N

    def __len__(self) -> int:
        return len(self.probabilities)

    def _repr_html_(self) -> str:
        cells = zip(range(SHOWN), self.labels, self.confidences, strict=False)
        rows = "".join(
            f"<tr><td>{row}</td><td>{html.escape(label)}</td><td>{p:.1%}</td></tr>" for row, label, p in cells
        )
        more = f"<p>and {len(self) - SHOWN} more</p>" if len(self) > SHOWN else ""
        return f"<table><tr><th>image</th><th>label</th><th>probability</th></tr>{rows}</table>{more}"


class Model:
    """One released version, checked against its manifest and its ledger when it was opened."""

    def __init__(self, bundle: Bundle) -> None:
        """Raises: BundleError when onnxruntime cannot load it."""
        self.folder = bundle.folder
        self.manifest = bundle.manifest
        self._session = open_session(bundle.model)

    @property
    def name(self) -> str:
        """As `modelyard models show` takes it."""
        return f"{self.manifest.model_name}@{self.folder.name}"

    @property
    def classes(self) -> tuple[str, ...]:
        """Names, in the order of the probabilities."""
        return self.manifest.classes

    def predict(self, images: Images) -> Prediction:
        """Classify raw pixels [N, H, W, C] (or [H, W, C]; without C where it is 1), image files or pillow
        images.

        Files and pillow images are brought to the model's size as `modelyard predict` does.
        Raises: DataError for arrays of another shape or type and for files that are no images.
        """
        pixels_NHWC = (
            self._from_array(images) if isinstance(images, np.ndarray) else self._from_pictures(images)
        )
        if not len(pixels_NHWC):
            return Prediction(self.classes, np.empty((0, len(self.classes)), np.float32))
        return Prediction(self.classes, classify(self._session, pixels_NHWC))

    def _from_array(self, images: NDArray[Any]) -> NDArray[np.uint8]:
        shape = self.manifest.form.hwc
        if images.dtype != np.uint8:
            raise DataError(
                "expected raw pixels, uint8 from 0 to 255, received "
                f"{images.dtype}; scaling is inside the model"
            )
        pixels = images[..., None] if shape[2] == 1 and images.shape[-2:] == shape[:2] else images
        if pixels.shape == shape:
            pixels = pixels[None]
        if pixels.ndim != 4 or pixels.shape[1:] != shape:
            raise DataError(
                f"expected images [N, {', '.join(map(str, shape))}], received {list(images.shape)}"
            )
        return np.ascontiguousarray(pixels)

    def _from_pictures(self, images: Sequence[str | Path | Image] | str | Path) -> NDArray[np.uint8]:
        from modelyard.samples.image import picture_pixels

        form = self.manifest.form
        listed = [images] if isinstance(images, str | Path) else list(images)
        found = [picture_pixels(image, form, self.manifest.reading) for image in listed]
        return np.stack(found) if found else form.encoding.raw(form.blank(0))

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.manifest.form.hwc))
        return f"<Model {self.name}: {self.manifest.architecture}, {shape}, {len(self.classes)} classes>"

    def _repr_html_(self) -> str:
        accuracy = self.manifest.metrics.get("test/accuracy")
        told = {
            "model": self.name,
            "architecture": self.manifest.architecture,
            "image": "x".join(map(str, self.manifest.form.hwc)),
            "pictures": self.manifest.reading.told,
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
