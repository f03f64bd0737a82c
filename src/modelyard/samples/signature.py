"""What a model takes and answers: written in its manifest, and compared with its graph."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from modelyard.samples import FORMS, Form
from modelyard.samples.names import BATCH, CLASS, LOGITS, PROBABILITIES, Names
from modelyard.samples.tensors import Encoding, TensorSpec

Answer = Literal["classes"]


@dataclass(frozen=True, slots=True)
class Signature:
    """Inputs and outputs of a graph, and of which samples they are made."""

    kind: str
    form: Form
    encoding: str
    inputs: tuple[TensorSpec, ...]
    answer: Answer
    outputs: tuple[TensorSpec, ...]

    @classmethod
    def of_classifier(cls, form: Form, num_classes: int, name: str = "") -> Self:
        """Samples of `form` in, in the encoding of that name, logits and probabilities [batch, class] out.

        Raises: KeyError for another name.
        """
        axes = ((BATCH, None), (CLASS, num_classes))
        outputs = tuple(TensorSpec(name, "float32", axes) for name in (LOGITS, PROBABILITIES))
        encoding = form.encodings[name] if name else form.encoding
        return cls(form.kind, form, encoding.name, encoding.inputs, "classes", outputs)

    @classmethod
    def from_json(cls, value: object, num_classes: int) -> Self:
        """From a manifest: inputs and outputs follow from form and classes, so that no others are taken.

        Raises: ValueError.
        """
        given: dict[str, Any] = value if isinstance(value, dict) else {}
        if not isinstance(kind := given.get("kind"), str) or kind not in FORMS:
            raise ValueError(
                f"signature: expected a kind among {', '.join(FORMS)}, received {str(kind)[:60]!r}; "
                "a newer edition may read it"
            )
        form, name = FORMS[kind].from_json(given.get("form")), given.get("encoding")
        named = name if isinstance(name, str) and name in form.encodings else ""
        signature = cls.of_classifier(form, num_classes, named)
        expected = json.loads(json.dumps(asdict(signature)))
        wrong = [
            name for name in expected | given if _text(given.get(name)) != _text(expected.get(name))
        ]  # as text: in Python 1 is True and 1.0
        if wrong:
            raise ValueError(f"signature: fields missing, unknown or unfit: {', '.join(sorted(wrong))[:100]}")
        return signature

    def taken(self, files: Mapping[str, bytes]) -> Encoding:
        """What makes the graph's input of samples as a data set holds them, with the files of a bundle.

        Raises: ConfigError where one is missing or unfit.
        """
        encoding: Encoding = self.form.encodings[self.encoding]
        return encoding.fed(files)

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files that it needs."""
        encoding: Encoding = self.form.encodings[self.encoding]
        return encoding.files

    @property
    def input(self) -> TensorSpec:
        """The only one that graphs have so far."""
        (spec,) = self.inputs
        return spec

    @property
    def names(self) -> Names:
        """What its samples are called."""
        names: Names = self.form.names
        return names


def _text(value: object) -> str:
    try:
        return json.dumps(value, sort_keys=True)
    except RecursionError:  # it could just be read
        raise ValueError("signature: nested too deep") from None
