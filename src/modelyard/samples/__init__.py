"""What one sample is. `Form`, `FORMS` and `AnyReading` are the only lists to extend."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.samples.image_form import ImageForm
from modelyard.samples.ragged import Ragged
from modelyard.samples.reading import Reading
from modelyard.samples.text import TextReading
from modelyard.samples.text_form import TextForm

Form = ImageForm | TextForm
FORMS: dict[str, type[Form]] = {ImageForm.kind: ImageForm, TextForm.kind: TextForm}
AnyReading = Reading | TextReading
Stored = NDArray[np.uint8] | Ragged
"""Samples as a data set holds them [M, ...]."""


def form_of(stored: Any) -> Form:
    """What each of the stored samples is."""
    return stored.form if isinstance(stored, Ragged) else ImageForm(*stored.shape[1:])


__all__ = ["FORMS", "AnyReading", "Form", "ImageForm", "Ragged", "Stored", "TextForm", "form_of"]
