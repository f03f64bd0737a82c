"""What MLflow's pages say of a model to those who know nothing of this package, in Markdown."""

from __future__ import annotations

from modelyard.bundle import Manifest
from modelyard.evaluation.board import as_markdown, card_facts
from modelyard.terminal.printable import in_markdown

LONGEST = 5000
"""Of a version's description in MLflow's databases."""
HOW_TO_CALL = """\
`mlflow.pyfunc.load_model(URI).predict({{"{input}": {value}}})["probabilities"]`, in the order of the
classes; {value} are {told}. The tag `{contract}` says all
that makes a {given} such {value}, and so do the metadata of the model and of its ONNX file. This card:
`modelyard models show {model}@VERSION`.

"""


def model_description(manifest: Manifest) -> str:
    """Of the registered model: what all its versions are."""
    kind, name = manifest.signature.names.one.capitalize(), in_markdown(manifest.model_name)
    return f"{kind} classifiers of **{name}**, an ONNX file each; `champion` is the one in use."


def version_description(manifest: Manifest) -> str:
    """Of one version: how it is called, and its card."""
    signature, names = manifest.signature, manifest.signature.names
    encoding = signature.form.encodings[signature.encoding]
    told = HOW_TO_CALL.format(
        input=signature.input.name,
        value=encoding.value,
        told=encoding.told,
        contract=names.contract,
        given=names.given,
        model=manifest.model_name,
    )
    told += as_markdown(
        {"data set": manifest.model_name, "architecture": manifest.architecture, **card_facts(manifest)}
    )
    return told if len(told) <= LONGEST else told[: told.rindex("\n", 0, LONGEST)]
