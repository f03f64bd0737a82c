"""Who brings what people give to a released model's input. `READERS` is the list to extend."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from modelyard.bundle import Bundle
from modelyard.inference.reading.reader import Reader


def _pictures(bundle: Bundle, *, invert: bool = False) -> Reader:
    from modelyard.inference.reading.images import Pictures  # only who is asked for them pays

    return Pictures.of(bundle.manifest, invert=invert)


def _texts(bundle: Bundle, *, invert: bool = False) -> Reader:
    from modelyard.inference.reading.texts import Texts

    return Texts.of(bundle, invert=invert)


READERS: Mapping[str, Callable[..., Reader]] = {"image": _pictures, "text": _texts}
"""By the kind of a model's samples."""


def reader_of(bundle: Bundle, *, invert: bool = False) -> Reader:
    """Who reads for the model. Raises: ConfigError where its samples cannot be inverted, BundleError."""
    return READERS[bundle.manifest.form.kind](bundle, invert=invert)
