"""What speaks against a sample before a model answers, by kind. `KINDS` is the only list to extend."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from modelyard.bundle import Manifest
from modelyard.inference.doubts.images import doubts_of_image, facts_of_images
from modelyard.inference.doubts.texts import doubts_of_text, facts_of_texts
from modelyard.samples import Form, ImageForm, TextForm


class Doubts(NamedTuple):
    """Of one kind of samples."""

    of: Callable[[Any, Manifest], list[str]]
    """A sample as a person gave it: pixels [H, W, C], a string."""
    facts: Callable[[Any, Any], dict[str, float]]
    """Metrics of a bundle that it needs, from a few training samples as they are stored and their reading."""


KINDS: Mapping[str, Doubts] = {
    ImageForm.kind: Doubts(doubts_of_image, facts_of_images),
    TextForm.kind: Doubts(doubts_of_text, facts_of_texts),
}


def doubts(sample: Any, manifest: Manifest) -> list[str]:
    """Why the answer for it may be worthless, a line each."""
    return KINDS[manifest.form.kind].of(sample, manifest)


def training_facts(form: Form, few: Any, reading: Any) -> dict[str, float]:
    """What a bundle keeps of some of its training samples, so that others can be doubted."""
    return KINDS[form.kind].facts(few, reading)
