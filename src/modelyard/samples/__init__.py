"""What one sample is. `Form` and `FORMS` are the only lists to extend."""

from modelyard.samples.image_form import ImageForm

Form = ImageForm
FORMS: tuple[type[Form], ...] = (ImageForm,)

__all__ = ["FORMS", "Form", "ImageForm"]
