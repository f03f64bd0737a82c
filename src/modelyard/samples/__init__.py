"""What one sample is. `FORMS` and `OneForm` are the only lists to extend."""

from typing import Any, TypeAlias

from modelyard.samples.image_form import ImageForm
from modelyard.samples.ragged import Ragged
from modelyard.samples.text_form import TextForm

OneForm = ImageForm | TextForm
FORMS: dict[str, type[OneForm]] = {ImageForm.kind: ImageForm, TextForm.kind: TextForm}
Form: TypeAlias = Any
"""One of `FORMS`, where every kind passes through; who works on one kind names its form."""
AnyReading: TypeAlias = Any
"""How files of such samples are read, and `Stored`: the samples as a data set holds them [M, ...]."""
Stored: TypeAlias = Any


def form_of(stored: Stored) -> Form:
    """What each of the stored samples is."""
    return stored.form if isinstance(stored, Ragged) else ImageForm(*stored.shape[1:])


__all__ = ["FORMS", "AnyReading", "Form", "ImageForm", "OneForm", "Ragged", "Stored", "TextForm", "form_of"]
