"""What MLflow's pages say of a model to those who know nothing of this package, in Markdown."""

from __future__ import annotations

from modelyard.bundle import Manifest
from modelyard.evaluation.board import as_markdown, card_facts
from modelyard.terminal.printable import in_markdown

LONGEST = 5000
"""Of a version's description in MLflow's databases."""
HOW_TO_CALL = """\
`mlflow.pyfunc.load_model(URI).predict({{"images": pixels}})["probabilities"]`, in the order of the
classes; pixels are uint8 from 0 to 255, [N, {}, {}, {}] (NHWC), unscaled. The tag `pixel_contract` says all
that makes a picture such pixels, and so do the metadata of the model and of its ONNX file. This card:
`modelyard models show {}@VERSION`.

"""


def model_description(manifest: Manifest) -> str:
    """Of the registered model: what all its versions are."""
    return (
        f"Image classifiers of **{in_markdown(manifest.model_name)}**, an ONNX file each; "
        "`champion` is the one in use."
    )


def version_description(manifest: Manifest) -> str:
    """Of one version: how it is called, and its card."""
    told = HOW_TO_CALL.format(*manifest.form.hwc, manifest.model_name)
    told += as_markdown(
        {"data set": manifest.model_name, "architecture": manifest.architecture, **card_facts(manifest)}
    )
    return told if len(told) <= LONGEST else told[: told.rindex("\n", 0, LONGEST)]
