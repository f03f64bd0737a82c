"""The most confident mistakes, as a person looks at them. `MISTAKES` is the only list to extend."""

from collections.abc import Callable, Mapping
from pathlib import Path

from modelyard.data.datasets import Dataset
from modelyard.evaluation.metrics import Probabilities
from modelyard.evaluation.mistakes.images import draw_images
from modelyard.evaluation.mistakes.texts import list_texts
from modelyard.samples import ImageForm, TextForm

MISTAKES: Mapping[str, Callable[[Dataset, Probabilities, Path], None]] = {
    ImageForm.kind: draw_images,
    TextForm.kind: list_texts,
}
"""Kind of samples -> writes a file into a folder."""
