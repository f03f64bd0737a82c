"""Splits and classes by the names that people give to folders and files."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from modelyard.errors import DataError
from modelyard.sources.layout import split_of
from modelyard.sources.listing import Listing, list_images
from tests.data.samples import image_folder


def tree(root: Path, files: dict[str, int], name: str = "{}.png") -> Path:
    """Empty files that are called pictures: so many in each folder."""
    for folder, count in files.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            (root / folder / name.format(index)).touch()
    return root


def sizes(listing: Listing) -> tuple[int, int, int]:
    """Train, given validation, test."""
    given = sum(file.is_validation for file in listing.train)
    return len(listing.train) - given, given, len(listing.test)


@pytest.mark.parametrize(
    ("split", "names"),
    [
        (
            "train",
            "train Train TRAIN training Trainset trainingset train_set train-images my_pets_train "
            "PetsTrain train2 trainval",
        ),
        ("test", "test Testing TEST test-set testset pets-test TestSet test_images images_test"),
        ("validation", "val valid Validation dev DEV val_set validset pets_val val2017 validation-split"),
        ("", "car trainer latest contest invalid value device training_test testament 2017 été valley"),
    ],
)
def test_names_of_splits(split: str, names: str) -> None:
    assert {name: split_of(name) for name in names.split()} == dict.fromkeys(names.split(), split)


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        ({"Training/a": 5, "Training/b": 5, "Testing/a": 2, "Testing/b": 2}, (10, 0, 4)),
        ({"train/a": 5, "train/b": 5, "val/a": 2, "val/b": 2}, (10, 0, 4)),
        ({"Train/a": 5, "Train/b": 5, "valid/a": 2, "valid/b": 2, "test/a": 1, "test/b": 1}, (10, 4, 2)),
        (
            {"training_set/training_set/a": 5, "training_set/training_set/b": 5, "dev/a": 2, "dev/b": 2},
            (10, 0, 4),
        ),
        ({"pets_train/pets_train/a": 5, "pets_train/pets_train/b": 5}, (8, 0, 2)),
        ({"train/a": 5, "train/b": 5}, (8, 0, 2)),
        ({"pets/pets/a": 5, "pets/pets/b": 5}, (8, 0, 2)),
        (
            {
                "pets_train/train/a": 5,
                "pets_train/train/b": 5,
                "pets_train/test/a": 1,
                "pets_train/test/b": 1,
            },
            (10, 0, 2),
        ),
        ({"a/train": 5, "a/test": 1, "b/train": 5, "b/test": 1}, (10, 0, 2)),
        ({"a/Training": 5, "a/val": 1, "a/test": 1, "b/Training": 5, "b/val": 1, "b/test": 1}, (10, 2, 2)),
        (
            {
                "pets/a": 5,
                "pets/b": 5,
                "docs": 0,
                "__MACOSX/pets/a": 5,
                "@eaDir/a": 5,
                "pets/a/@eaDir/0.png": 2,
            },
            (8, 0, 2),
        ),
    ],
)
def test_splits_and_wrappers_are_read(
    folders: dict[str, int], expected: tuple[int, int, int], tmp_path: Path
) -> None:
    listing = list_images(tree(tmp_path, folders))
    assert (listing.classes, sizes(listing)) == (("a", "b"), expected)
    assert listing.notes[0].startswith("read as: ")


@pytest.mark.parametrize(
    ("given", "wanted", "expected"),
    [
        (("train", "val"), None, (20, 0, 4)),
        (("train", "val"), "validation", (16, 4, 4)),
        (("train", "val", "test"), "test", (20, 0, 8)),
        (("train", "val", "test"), "validation", (20, 4, 4)),
    ],
)
def test_validation_is_what_was_asked_for(
    given: tuple[str, ...], wanted: str | None, expected: tuple[int, int, int], tmp_path: Path
) -> None:
    tree(tmp_path, {f"{split}/{name}": 10 if split == "train" else 2 for split in given for name in "ab"})
    listing = list_images(tmp_path, wanted)
    assert sizes(listing) == expected
    assert [file.is_validation for file in listing.train] == [False] * expected[0] + [True] * expected[1]
    assert "data.validation_as=" in listing.notes[1]


@pytest.mark.parametrize("classes", [("train", "car"), ("bus", "dev", "test"), ("valid", "invalid")])
def test_a_class_may_be_called_as_a_split_beside_others(classes: tuple[str, ...], tmp_path: Path) -> None:
    assert list_images(tree(tmp_path, dict.fromkeys(classes, 5))).classes == tuple(sorted(classes))
    for name in classes:
        tree(tmp_path, {f"{name}/deeper": 5})
    if len(classes) < 3:
        assert list_images(tmp_path).classes == tuple(sorted(classes))


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        ({"Train": 9, "Test": 9}, "the classes would be Test/, Train/, which are names of splits"),
        ({"Train": 9}, "the classes would be Train/, which are names of splits"),
        (
            {"train2017": 9, "val2017": 9, "annotations": 0},
            "the classes would be train2017/, val2017/, which are names",
        ),
        (
            {"JPEGImages": 9, "Annotations": 0, "ImageSets": 0},
            "the classes would be JPEGImages; expected a folder",
        ),
        ({"train/x": 5, "car": 9}, "has one class (x)"),
        ({"train/images": 5, "val/images": 5}, "has one class (images)"),
        (
            {"train/a": 5, "train/b": 5, "val/a": 1, "val/b": 1, "dev/a": 1, "dev/b": 1},
            "dev/, val/ all stand for the validation",
        ),
        ({"Testing/a": 5, "Testing/b": 5}, "has Testing/ but no train/"),
        (
            {"original/a": 5, "original/b": 5, "augmented/a": 5, "augmented/b": 5},
            "augmented/, original/ hold the same folders (a/, b/)",
        ),
        (
            {
                f"{kind}/{split}/{name}": 5
                for kind in ("x", "y")
                for split in ("train", "test")
                for name in "ab"
            },
            "x/, y/ hold the same folders (test/, train/); give one of them",
        ),
        ({"a/train": 5, "a/test": 1, "b/train": 5}, "some of a/, b/ hold folders of splits"),
        ({"train/train": 5, "train/test": 5}, "names of splits"),
        ({"train/a": 5, "train/b": 5, "val/c": 1}, "class folders that are only in train/: a, b"),
        (
            {"images": 9, "masks": 9},
            "the classes would be images, masks; expected a folder for each class; it looks like masks",
        ),
        ({".": 9}, "holds images in one folder; expected a folder for each class"),
    ],
)
def test_what_tells_no_classes_is_refused(folders: dict[str, int], expected: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        list_images(tree(tmp_path, folders))
    assert expected in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["{}_00{}.png", "{}-{}.jpg", "{} ({}).png", "{}.{}.jpg", "{}{}.bmp"])
def test_classes_in_file_names(name: str, tmp_path: Path) -> None:
    for label in ("cat", "wire_haired dog"):
        for index in range(6):
            (tmp_path / name.format(label, index)).touch()
    listing = list_images(tmp_path)
    assert listing.classes == ("cat", "wire_haired dog")
    assert {Path(file.path).name.startswith("cat") for file in listing.train if file.label == 0} == {True}
    (tmp_path / "readme.png").touch()
    with pytest.raises(DataError, match=r"called class_001\.png"):
        list_images(tmp_path)


def test_a_test_folder_without_labels_is_no_class_and_leaves_those_in_names(tmp_path: Path) -> None:
    tree(tree(tree(tmp_path, {"train": 6}, "cat.{}.jpg"), {"train": 6}, "dog.{}.jpg"), {"test1": 3}, "{}.jpg")
    listing = list_images(tmp_path)
    assert (listing.classes, sizes(listing)) == (("cat", "dog"), (10, 0, 2))
    assert listing.notes[1] == "3 pictures of no class left out, such as test1/0.jpg"


@pytest.mark.parametrize(
    "prefixes", [("IMG_", "DSC_"), ("IMG_2019_", "IMG_2020_"), ("photo", "cat"), ("", "cat"), ("cat",)]
)
def test_names_that_cameras_give_are_no_classes(prefixes: tuple[str, ...], tmp_path: Path) -> None:
    for prefix in prefixes:
        for index in range(6):
            (tmp_path / f"{prefix}{index:04}.jpg").touch()
    with pytest.raises(DataError, match="holds images in one folder"):
        list_images(tmp_path)


def test_what_is_left_out_is_counted_and_named(tmp_path: Path) -> None:
    tree(
        tmp_path, {"a": 6, "b": 6, "a/.ipynb_checkpoints": 3, "$RECYCLE.BIN": 2, "b/@eaDir": 1, "#recycle": 1}
    )
    for name in ("a/1.heic", "a/2.HEIC", "b/notes.txt", "b/README", "a/Thumbs.db", ".DS_Store"):
        (tmp_path / name).write_text("no picture")
    image_folder(tmp_path / "real", {"x": 1})
    (tmp_path / "real" / "x" / "0.png").rename(tmp_path / "a" / "no_ending")
    (tmp_path / "real" / "x").rmdir()
    (tmp_path / "real").rmdir()
    listing = list_images(tmp_path)
    assert len(listing.train) + len(listing.test) == 13
    assert "4 files left out: .heic 2, .txt 1, no ending 1, convert .heic to .jpg" in listing.notes
    assert listing.notes[-1] == "folders left out: #recycle 1, $RECYCLE.BIN 1, .ipynb_checkpoints 1, @eaDir 1"
    for path in (tmp_path / "b").glob("*.png"):
        path.rename(path.with_suffix(".heic"))
    with pytest.raises(DataError, match=r"b \(0; 8 files left out: \.heic 6, \.txt 1, no ending 1, convert"):
        list_images(tmp_path)


def test_unicode_forms_are_one_class_and_odd_bytes_are_told(tmp_path: Path) -> None:
    composed, apart = unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é")
    listing = list_images(
        tree(tmp_path / "forms", {f"train/{composed}": 5, "train/x": 5, f"test/{apart}": 2, "test/x": 2})
    )
    assert (listing.classes, sizes(listing)) == (("x", composed), (10, 0, 4))
    joined = list_images(tree(tmp_path / "both", {composed: 5, apart: 5, "x": 5}))
    assert len(joined.train) == 12
    assert "folders joined whose names differ in Unicode form only" in joined.notes
    odd = tree(tmp_path / "odd", {"x": 5, os.fsdecode(b"caf\xe9"): 5})
    with pytest.raises(DataError, match="expected 1 to 255 printable characters in UTF-8"):
        list_images(odd)
