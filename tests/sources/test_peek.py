"""What is known before decoding is what decoding then finds."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelyard.data.options import FolderOptions
from modelyard.errors import DataError
from modelyard.sources.imports import import_dataset
from modelyard.sources.peek import peek
from modelyard.sources.sources import load_dataset
from tests.data.samples import image_folder


@pytest.mark.parametrize("options", [FolderOptions(), FolderOptions(height=9, channels=3)])
def test_shape_and_classes_are_those_of_the_decoded_data(store: Path, options: FolderOptions) -> None:
    folder = image_folder(store / "in", {"a": 9, "b": 9, "c": 9}, size=(6, 4))
    import_dataset(folder, "kept", options)
    for name, asked in (("digits", FolderOptions()), (str(folder), options), ("kept", FolderOptions())):
        dataset = load_dataset(name, asked)
        assert peek(name, asked) == (dataset.form, len(dataset.classes))


def test_what_only_decoding_tells_is_none_and_an_unfit_folder_is_refused(store: Path) -> None:
    (store / "x.zip").touch()
    assert peek(str(store / "x.zip"), FolderOptions()) is None
    assert peek("nosuch", FolderOptions()) is None
    with pytest.raises(DataError, match="has one class"):
        peek(str(image_folder(store / "one", {"a": 9})), FolderOptions())
