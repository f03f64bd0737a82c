"""Who brings what people give to a released model's input. `READERS` is the list to extend."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from modelyard.bundle import Manifest
from modelyard.inference.reading.reader import Reader


def _pictures(manifest: Manifest, *, invert: bool = False) -> Reader:
    from modelyard.inference.reading.images import Pictures  # only who is asked for them pays

    return Pictures.of(manifest, invert=invert)


def _texts(manifest: Manifest, *, invert: bool = False) -> Reader:
    from modelyard.inference.reading.texts import Texts

    return Texts.of(manifest, invert=invert)


READERS: Mapping[str, Callable[..., Reader]] = {"image": _pictures, "text": _texts}
"""By the kind of a model's samples."""


def reader_of(manifest: Manifest, *, invert: bool = False) -> Reader:
    """Who reads for the model. Raises: ConfigError where its samples cannot be inverted."""
    return READERS[manifest.form.kind](manifest, invert=invert)
