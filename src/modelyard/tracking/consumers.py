"""What MLflow tells those who use a model and know nothing of this package: descriptions, an example, requirements."""

from __future__ import annotations

import json
import math

import numpy as np
from numpy.typing import NDArray

from modelyard.board import as_markdown, card_facts
from modelyard.bundle import Bundle, Manifest
from modelyard.reading import pixel_contract
from modelyard.text import in_markdown

MOST_EXAMPLE_VALUES = 2**19
"""MLflow keeps an example as JSON, twice: four bytes a value; of larger images none is kept."""
LONGEST_DESCRIPTION = 5000
"""Of a version, in MLflow's databases."""
CONTRACT_TAG = "pixel_contract"


def input_example(bundle: Bundle) -> dict[str, NDArray[np.uint8]] | None:
    """The first test image, as MLflow's `pyfunc` and scoring servers take it; None of images too large for JSON."""
    images_BHWC, _ = bundle.samples()
    return {"images": images_BHWC[:1]} if math.prod(bundle.manifest.image_shape) <= MOST_EXAMPLE_VALUES else None


def requirements() -> list[str]:
    """What loads the model as `mlflow.onnx` and as `mlflow.pyfunc`; MLflow adds itself."""
    import onnx
    import onnxruntime

    return [f"{package.__name__}=={package.__version__}" for package in (np, onnx, onnxruntime)]


def contract_tag(manifest: Manifest) -> str:
    """The pixel contract as a tag's text; classes, of which there may be many, are in the model's metadata."""
    contract = pixel_contract(manifest.image_shape, manifest.reading, ())
    del contract["classes"]
    return json.dumps(contract)


def model_description(manifest: Manifest) -> str:
    """Of the registered model: what all its versions have in common, in Markdown."""
    return (
        f"Image classifiers trained on the data set **{in_markdown(manifest.model_name)}** by Modelyard, one ONNX file a version."
        " The alias `champion` is the version in use; a version's description says what it is, how good, and how it is called."
    )


def version_description(manifest: Manifest) -> str:
    """Of one version, in Markdown: its card, which `modelyard models show` prints as well, and how it is called."""
    told = f"{_how_to_call(manifest)}\n\n{as_markdown(card_facts(manifest))}"
    return told if len(told) <= LONGEST_DESCRIPTION else told[: told.rindex("\n", 0, LONGEST_DESCRIPTION)]


def _how_to_call(manifest: Manifest) -> str:
    height, width, channels = manifest.image_shape
    return f"""\
{in_markdown(manifest.architecture)}, {len(manifest.classes)} classes, trained on `{in_markdown(manifest.model_name)}`. \
Card: `modelyard models show {manifest.model_name}@VERSION`.

**Input** `images`: raw pixels, uint8 from 0 to 255, [N, {height}, {width}, {channels}] (NHWC), \
{"grey" if channels == 1 else "RGB"}; nothing is to be scaled. Pictures: {manifest.reading.told}. \
**Output** `probabilities`: [N, {len(manifest.classes)}], in the order of the classes. The tag `{CONTRACT_TAG}`, and the \
metadata of the model and of its ONNX file, say the same for programs.

```python
model = mlflow.pyfunc.load_model(URI)
model.predict({{"images": pixels}})["probabilities"]
```"""
