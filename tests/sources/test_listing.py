"""Which files count, in which class and split; what is wrong with a folder is told before anything is
decoded.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from modelyard.errors import DataError
from modelyard.sources.listing import list_images
from tests.data.samples import image_folder, modelyard


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ({}, "holds no images; expected class_name/*.png|jpg below it"),
        ({"a": 9}, r"has one class (a)"),
        (
            {"a": 9, "b": 3, "c": 0},
            "each class needs at least 5 images for three splits; too few: b (3), c (0)",
        ),
        ({f"c{n}": 1 for n in range(9)}, "too few: c0 (1), c1 (1), c2 (1), c3 (1), c4 (1) and 4 more; add"),
        (
            {"train/a": 2, "train/b": 2, "test/a": 1, "test/c": 1},
            "class folders that are only in train/: b; expected",
        ),
        (
            {"train/a": 2, "train/b": 2, "test/a": 1, "test/b": 1, "test/c": 1},
            "class folders that are only in test/: c",
        ),
        (
            {"train/a": 2, "train/b": 1, "test/a": 1, "test/b": 1},
            "at least 2 images in train/; too few: b (1)",
        ),
        (
            {"train/a": 2, "train/b": 2, "test/a": 1, "test/b": 0},
            "at least 1 images in test/; too few: b (0)",
        ),
        ({"test/a": 9, "test/b": 9}, "has test/ but no train/"),
    ],
)
@pytest.mark.parametrize("command", [("run", "--plan", "--dataset"), ("data", "show"), ("data", "import")])
def test_unfit_folders_are_refused(
    classes: dict[str, int],
    expected: str,
    command: tuple[str, ...],
    store: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert modelyard(*command, str(image_folder(store / "images", classes))) == 2
    message = capsys.readouterr().err
    assert expected in message
    assert message.count("\n") == 1
    assert not list((store / "cache").glob("*/*"))


def test_a_missing_folder_is_told(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert modelyard("data", "import", str(store / "nowhere")) == 2
    assert "nowhere: no such folder; expected class_name/*.png below it" in capsys.readouterr().err


def test_given_splits_are_kept_and_others_reported(tmp_path: Path) -> None:
    wanted = {"train/a": 3, "train/b": 2, "test/a": 1, "test/b": 1, "val/a": 2, "extra": 1}
    listing = list_images(image_folder(tmp_path, wanted))
    assert [file.path for file in listing.test] == ["test/a/0.png", "test/b/0.png"]
    assert [(file.label, file.is_validation) for file in listing.train] == [(0, False)] * 3 + [
        (1, False)
    ] * 2 + [(0, True)] * 2
    assert listing.notes[2:] == ("1 pictures of no class left out, such as extra/0.png",)


def test_train_may_be_the_name_of_a_class(tmp_path: Path) -> None:
    assert list_images(image_folder(tmp_path, {"bus": 5, "train": 5})).classes == ("bus", "train")


def test_every_fifth_image_of_a_class_is_test(tmp_path: Path) -> None:
    listing = list_images(image_folder(tmp_path, {"a": 10, "b": 5}))
    assert [file.path for file in listing.test] == ["a/4.png", "a/9.png", "b/4.png"]
    assert not {file.path for file in listing.test} & {file.path for file in listing.train}


def test_hidden_files_links_that_lead_back_and_other_files(tmp_path: Path) -> None:
    image_folder(tmp_path, {"a": 5, "a/deeper": 1, "a/.hidden": 1, "b": 5, ".git": 5})
    (tmp_path / "a" / ".thumb.png").write_text("hidden")
    (tmp_path / "a" / "notes.txt").write_text("no image")
    (tmp_path / "a" / "deeper" / "up").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "SHOUT.PNG").write_bytes((tmp_path / "b" / "0.png").read_bytes())
    listing = list_images(tmp_path)
    paths = [file.path for file in (*listing.train, *listing.test) if file.label == 0]
    assert sorted(paths) == [
        "a/0.png",
        "a/1.png",
        "a/2.png",
        "a/3.png",
        "a/4.png",
        "a/SHOUT.PNG",
        "a/deeper/0.png",
    ]
    assert listing.classes == ("a", "b")


def test_a_link_to_nothing_is_named(tmp_path: Path) -> None:
    image_folder(tmp_path, {"a": 5, "b": 5})
    (tmp_path / "a" / "gone.png").symlink_to(tmp_path / "nowhere")
    with pytest.raises(
        DataError, match=r"a/gone\.png: cannot be opened \(No such file or directory\); mend the link"
    ):
        list_images(tmp_path)


def test_the_fingerprint_sees_every_change_of_a_file(tmp_path: Path) -> None:
    image_folder(tmp_path, {"a": 5, "b": 5})
    seen = [list_images(tmp_path).fingerprint]
    assert list_images(tmp_path).fingerprint == seen[0]
    first = tmp_path / "a" / "0.png"
    os.utime(first, ns=(0, 1))
    seen.append(list_images(tmp_path).fingerprint)
    first.rename(tmp_path / "a" / "00.png")
    seen.append(list_images(tmp_path).fingerprint)
    (tmp_path / "a" / "00.png").unlink()
    (tmp_path / "a" / "5.png").write_bytes((tmp_path / "a" / "4.png").read_bytes())
    seen.append(list_images(tmp_path).fingerprint)
    assert len(set(seen)) == 4
