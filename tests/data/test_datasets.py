"""The digest names the content; packed content is verified, and shared where it can be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelyard.data import datasets
from modelyard.data.datasets import Dataset, Split, content_digest, make_dataset
from modelyard.data.packed import open_packed, pack
from modelyard.errors import DataError
from modelyard.home import Home
from modelyard.steps.preparation import prepare
from tests.data.texts import text_dataset


def test_one_pixel_changes_the_digest(digits: Dataset) -> None:
    images_NCHW = digits.train.in_memory.copy()
    images_NCHW[7, 0, 5, 5] ^= 1
    assert (
        content_digest(Split(images_NCHW, digits.train.labels_N), digits.test, digits.classes)
        != digits.digest
    )


def test_one_class_name_or_label_changes_the_digest(digits: Dataset) -> None:
    assert content_digest(digits.train, digits.test, ("zero", *digits.classes[1:])) != digits.digest
    labels_N = digits.test.labels_N.copy()
    labels_N[3] = (labels_N[3] + 1) % 10
    assert (
        content_digest(digits.train, replace(digits.test, labels_N=labels_N), digits.classes) != digits.digest
    )


@pytest.mark.fault("packed data are altered", how="a label changed in the file, the description removed")
def test_altered_packed_data_is_refused(digits: Dataset, tmp_path: Path) -> None:
    pack(replace(digits, folder=None), tmp_path / "packed")
    labels_N = np.load(tmp_path / "packed" / "test_labels.npy")
    labels_N[0] = (labels_N[0] + 1) % 10
    np.save(tmp_path / "packed" / "test_labels.npy", labels_N)
    with pytest.raises(DataError, match="it was altered, delete the folder"):
        open_packed(tmp_path / "packed")
    with pytest.raises(DataError, match="it was altered, delete the folder"):
        pack(digits, tmp_path / "packed")
    (tmp_path / "packed" / "dataset.json").unlink()
    with pytest.raises(DataError, match="cannot be read"):
        open_packed(tmp_path / "packed", verify=False)


@pytest.mark.parametrize("bytes_of_two", [b"a\0b c", b"ab \xffc", b"ab\xc3\xa9c"])
def test_packed_texts_that_are_none_are_refused(bytes_of_two: bytes, tmp_path: Path) -> None:
    pairs = [("abc", 0), ("de", 1)]
    folder = tmp_path / "packed"
    assert pack(text_dataset(pairs, pairs), folder).train.in_memory.shape == (2, 3)
    np.save(folder / "train_texts.npy", np.frombuffer(bytes_of_two, np.uint8))
    with pytest.raises(DataError, match=r"packed: .*(NUL|UTF-8).*; it was altered, delete the folder"):
        open_packed(folder)


def test_a_written_pack_and_a_linked_one_open_the_same(digits: Dataset, tmp_path: Path) -> None:
    written = pack(replace(digits, folder=None), tmp_path / "written")
    linked = pack(written, tmp_path / "linked")
    assert (tmp_path / "linked" / "train_images.npy").samefile(tmp_path / "written" / "train_images.npy")
    for dataset in (open_packed(tmp_path / "written"), open_packed(tmp_path / "linked"), linked):
        assert dataset.digest == digits.digest
        np.testing.assert_array_equal(dataset.train.samples, digits.train.samples)


def test_where_links_are_impossible_the_pack_is_a_copy(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    pack(digits, tmp_path / "copy")
    assert (tmp_path / "copy" / "test_images.npy").stat().st_nlink == 1
    assert open_packed(tmp_path / "copy").digest == digits.digest


def test_a_run_reads_all_of_the_data_once(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(store / "runs")
    prepare("digits", home)
    digested: list[int] = []
    real = datasets.content_digest

    def counted(train: Split, *rest: Any) -> str:
        digested.append(len(train))
        return real(train, *rest)

    monkeypatch.setattr(datasets, "content_digest", counted)
    prepared = prepare("digits", home)
    open_packed(home.steps / prepared["data_step"], verify=False)
    assert len(digested) == 1


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([0, 1, 0], "x test: 2 images but 3 labels; the files do not belong together"),
        ([0, 2], r"x test: expected labels in 0\.\.1, one for each class name, found 0\.\.2"),
        ([-1, 0], r"found -1\.\.0"),
    ],
)
def test_parts_that_do_not_fit_are_refused(labels: list[int], expected: str) -> None:
    images_NCHW = np.zeros((2, 1, 3, 3), np.uint8)
    with pytest.raises(DataError, match=expected):
        make_dataset(
            "x", Split(images_NCHW, np.array([0, 1])), Split(images_NCHW, np.array(labels)), ("a", "b")
        )
