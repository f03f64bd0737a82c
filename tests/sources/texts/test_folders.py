"""Folders of text files, and what tells texts from images before anything is read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from modelyard.data.options import FolderOptions
from modelyard.errors import DataError
from modelyard.sources.cache import load_folder
from modelyard.sources.kinds import kind_at
from modelyard.sources.peek import describe
from tests.data.samples import idx_folder, image_folder, modelyard
from tests.sources.texts.written import labelled, rows, written

OPTIONS = FolderOptions()


def text_folder(folder: Path, *classes: str) -> Path:
    """Ten files for each, and one about them."""
    for name in classes:
        for number in range(10):
            written(folder / name / f"{number}.txt", f"{name} {number}\nsecond line\n")
    written(folder / "README.txt", "about it")
    return folder


@pytest.mark.parametrize("classes", [("a", "b"), ("train/a", "train/b", "test/a", "test/b")])
@pytest.mark.parametrize("packed", ["", "zip", "gztar"])
def test_a_file_is_a_text_of_the_class_that_its_folder_is_called(
    classes: tuple[str, ...], packed: str, store: Path
) -> None:
    source = text_folder(store / "in", *classes)
    written(source / "._junk.txt", "x")
    if packed:
        source = Path(shutil.make_archive(str(store / "set"), packed, store, "in"))
    assert kind_at(source, OPTIONS) == "text"
    dataset = load_folder(source, OPTIONS)
    assert dataset.classes == ("a", "b")
    assert len(dataset.train) + len(dataset.test) == 10 * len(classes)
    for split in (dataset.train, dataset.test):
        assert all(text.endswith("\nsecond line\n") for text, _ in labelled(split, dataset.classes))
        assert all(
            text.split("/")[-1].startswith(label)
            for text, label in labelled(split, dataset.classes)
            if len(classes) == 2
        )


def test_files_in_another_encoding_are_named_or_skipped(store: Path) -> None:
    folder = text_folder(store / "in", "a", "b")
    written(folder / "a" / "x.txt", "café".encode("latin-1"))
    written(folder / "b" / "y.txt", "\ufeffmarked")
    with pytest.raises(DataError, match=r"rows that are bytes that are not in UTF-8: 1 \(a/x\.txt\)"):
        load_folder(folder, OPTIONS)
    dataset = load_folder(folder, FolderOptions(skip_unreadable=True))
    texts = [text for split in (dataset.train, dataset.test) for text, _ in labelled(split, dataset.classes)]
    assert len(texts) == 21 and "marked" in texts


def test_other_classes_in_train_than_in_test_are_refused(store: Path) -> None:
    folder = text_folder(store / "in", "train/a", "train/b", "train/unsup", "test/a", "test/b")
    with pytest.raises(DataError, match=r"only in train/ or only in test/: unsup"):
        load_folder(folder, OPTIONS)
    with pytest.raises(DataError, match="has one class"):
        load_folder(text_folder(store / "one", "a"), OPTIONS)


def test_a_file_that_changes_is_read_again(store: Path) -> None:
    folder = text_folder(store / "in", "a", "b")
    first = load_folder(folder, OPTIONS)
    assert load_folder(folder, OPTIONS).folder == first.folder
    written(folder / "a" / "0.txt", "another text")
    assert load_folder(folder, OPTIONS).digest != first.digest


def test_images_are_told_from_texts(store: Path) -> None:
    pictures = image_folder(store / "pictures", {"a": 3, "b": 3})
    named = "file,note,label\n" + "".join(f"a/{place}.png,some words here,x\n" for place in range(3))
    table = written(pictures / "labels.csv", named)
    stems = written(pictures / "stems.csv", "id,note,label\n" + "".join(f"{n},some words,x\n" for n in "012"))
    bare = store / "bare"
    shutil.copytree(pictures / "a", bare / "a")
    for path in (bare / "a").iterdir():
        path.rename(path.with_suffix(""))
    written(bare / "all.csv", "text,label\n" + rows("{0},{1}"))
    zipped = Path(shutil.make_archive(str(store / "zipped" / "set"), "zip", pictures))
    written(store / "zipped" / "captions.tsv", "label\ttext\n" + rows("{1}\t{0}"))
    for path in (
        pictures,
        table,
        stems,
        bare,
        zipped,
        store / "zipped",
        idx_folder(store / "idx"),
        store / "no",
    ):
        assert kind_at(path, OPTIONS) == "image", path
    beside = written(pictures / "reviews.csv", "review,label\n" + rows("{0},{1}"))
    for path in (beside, text_folder(store / "texts", "a", "b")):
        assert describe(str(path)).kind == "text"
    asked = FolderOptions(sample_column="note")
    assert describe(str(stems), asked).kind == "text"


def test_an_import_of_texts_may_go_and_keeps_its_kind(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(store / "Reviews.csv", "review,mark\n" + rows("{0},{1}"))
    words = ["--text-column", "review", "--set", "data.longest=8"]
    assert modelyard("data", "import", str(path), *words) == 0
    path.unlink()
    assert "20 of 20 texts are longer than 8 characters" in capsys.readouterr().out
    assert (describe("reviews").kind, describe("reviews").num_classes) == ("text", 2)
    assert modelyard("data", "show", "reviews", "--height", "9") == 2
    assert "reviews has no height, data.height=9 is for image folders only" in capsys.readouterr().err
    assert modelyard("data", "show", "reviews", "--set", "data.longest=9") == 2
    assert "reviews has longest 8, data.longest=9 is for" in capsys.readouterr().err


def test_text_files_have_no_columns_to_choose(store: Path) -> None:
    folder = text_folder(store / "texts", "a", "b")
    for asked in (FolderOptions(sample_column="note"), FolderOptions(label_column="mark")):
        with pytest.raises(DataError, match=r"_column=[a-z]+ is not for text files"):
            load_folder(folder, asked)
    assert load_folder(folder, FolderOptions(longest=8)).origin["texts cut off"] == 20
