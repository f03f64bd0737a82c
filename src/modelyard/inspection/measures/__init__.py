"""What is measured of samples, and how some are shown. `MEASURES` is the only list to extend."""

from collections.abc import Mapping

from modelyard.inspection.measures.images import OfImages
from modelyard.inspection.measures.protocol import Measures
from modelyard.inspection.measures.texts import OfTexts
from modelyard.samples import Form, ImageForm, TextForm

MEASURES: Mapping[str, Measures] = {ImageForm.kind: OfImages(), TextForm.kind: OfTexts()}


def measures_of(form: Form) -> Measures:
    """Those of such samples."""
    return MEASURES[form.kind]
