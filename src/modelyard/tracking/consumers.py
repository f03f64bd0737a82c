"""What MLflow tells those who use a model and know nothing of this package: descriptions, an example, requirements."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from modelyard.board import as_markdown, card_facts
from modelyard.bundle import Bundle, Manifest
from modelyard.text import in_markdown

MOST_EXAMPLE_VALUES = 2**18
"""MLflow keeps an example as JSON, 46 bytes a value (7 MB for a photo of 224 x 224); of larger images none is kept."""
LONGEST_DESCRIPTION = 5000
"""Of a version, in MLflow's databases."""
MODEL_DESCRIPTION = (
    "Image classifiers that Modelyard trained on the data set **{}**, each an ONNX file. The alias `champion` is the version"
    " in use. A version's description says what it is, how good it is, and how it is called."
)
HOW_TO_CALL = """\
`mlflow.pyfunc.load_model(URI).predict({{"images": pixels}})["probabilities"]`, in the order of the classes; pixels are uint8
from 0 to 255, [N, {}, {}, {}] (NHWC), unscaled. The tag `pixel_contract` says all that makes a picture such pixels, and so do
the metadata of the model and of its ONNX file. This card: `modelyard models show {}@VERSION`.

"""


def input_example(bundle: Bundle) -> dict[str, NDArray[np.uint8]] | None:
    """The first test image, as MLflow's `pyfunc` and scoring servers take it; None of images too large for JSON."""
    images_BHWC, _ = bundle.samples()
    return {"images": images_BHWC[:1]} if math.prod(bundle.manifest.image_shape) <= MOST_EXAMPLE_VALUES else None


def requirements() -> list[str]:
    """What loads the model as `mlflow.onnx` and as `mlflow.pyfunc`; MLflow adds itself."""
    import onnx
    import onnxruntime

    return [f"{package.__name__}=={package.__version__}" for package in (np, onnx, onnxruntime)]


def model_description(manifest: Manifest) -> str:
    """Of the registered model, in Markdown."""
    return MODEL_DESCRIPTION.format(in_markdown(manifest.model_name))


def version_description(manifest: Manifest) -> str:
    """Of one version, in Markdown: how it is called, and its card."""
    told = HOW_TO_CALL.format(*manifest.image_shape, manifest.model_name)
    told += as_markdown({"data set": manifest.model_name, "architecture": manifest.architecture, **card_facts(manifest)})
    return told if len(told) <= LONGEST_DESCRIPTION else told[: told.rindex("\n", 0, LONGEST_DESCRIPTION)]
