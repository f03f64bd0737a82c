"""`data show` finds what was planted, and draws a sheet of bounded size."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from modelyard.data.datasets import Split, make_dataset
from modelyard.inspection.contact_sheet import MOST_CLASSES, draw_contact_sheet
from modelyard.inspection.inspect import describe
from tests.data.samples import image_folder, modelyard


def test_planted_faults_are_found() -> None:
    generator = np.random.default_rng(0)
    train_NCHW, test_NCHW = (generator.integers(0, 255, (count, 3, 5, 4), np.uint8) for count in (30, 10))
    train_NCHW[1] = train_NCHW[0]  # same class: a duplicate
    train_NCHW[25] = train_NCHW[2]  # classes 0 and 1: a conflict
    test_NCHW[9] = train_NCHW[29]  # a leak
    train_NCHW[7] = np.array([1, 2, 3], np.uint8)[:, None, None]  # one colour
    labels_N = np.array([0] * 20 + [1] * 10)
    found = describe(
        make_dataset("x", Split(train_NCHW, labels_N), Split(test_NCHW, labels_N[10:20] * 0 + 1), ("a", "b"))
    )
    assert found["blank images"] == {"train": 1, "test": 0}
    assert found["duplicates in train"] == 2
    assert found["duplicates in test"] == 0
    assert found["test images that are also in train"] == 1
    assert found["equal images of different classes"] == 1
    assert found["examples of those"] == ["train 2 (a), train 25 (b)"]
    assert found["largest class / smallest class"] == 2
    assert found["counts"] == {"a": {"train": 20, "test": 0}, "b": {"train": 10, "test": 10}}
    json.dumps(found)


def test_a_folder_tells_how_its_files_were(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = image_folder(store / "images", {"a": 9, "b": 9})
    Image.new("RGBA", (40, 30)).save(root / "a" / "0.png")
    assert modelyard("data", "show", str(root), "--picture", str(store / "sheet.png"), "--json") == 0
    origin = json.loads(capsys.readouterr().out)["origin"]
    assert origin["file modes"] == {"L": 17, "RGBA": 1}
    assert origin["file widths"] == {"least": 11, "median": 11, "most": 40}
    assert origin["file sizes"] == "2, most often 11 x 13 (94%)"
    assert modelyard("data", "show", str(root), "--picture", str(store / "sheet.png")) == 0
    printed = capsys.readouterr().out
    assert "largest class / smallest class  1.0" in printed
    assert "advice: few: less than 30 images to train on of a (" in printed


def advice(*sizes: int, pixels: str = "different") -> list[str]:
    labels_N = np.repeat(np.arange(len(sizes)), sizes)
    images_NCHW = np.zeros((len(labels_N), 1, 4, 4), np.uint8)
    if pixels == "different":
        images_NCHW = np.random.default_rng(0).integers(0, 255, images_NCHW.shape, np.uint8)
    split = Split(images_NCHW, labels_N)
    test = Split(255 - images_NCHW[:: max(sizes) // 2], labels_N[:: max(sizes) // 2])
    return list(
        describe(make_dataset("x", split, test, tuple(f"c{label}" for label in range(len(sizes)))))["advice"]
    )


@pytest.mark.parametrize(
    ("sizes", "kinds"),
    [
        ((40, 40), []),
        ((30, 90), []),
        ((30, 91), ["uneven"]),
        ((29, 30), ["few"]),
        ((20, 600), ["uneven", "few"]),
    ],
)
def test_advice_is_given_where_it_is_needed(sizes: tuple[int, ...], kinds: list[str]) -> None:
    found = advice(*sizes)
    assert [line.split(":")[0] for line in found] == kinds
    assert all("\n" not in line for line in found)


def test_advice_names_the_class_and_the_remedy() -> None:
    (uneven, few) = advice(600, 20)
    assert "30 images of c0 for one of c1" in uneven
    assert all(
        key in uneven
        for key in ("training.class_weights=balanced", "training.sampling=balanced", "gates.min_recall")
    )
    assert "less than 30 images to train on of c1 (20)" in few
    assert "c1 (6), c2 (7), c3 (8) and 1 more" in advice(40, 6, 7, 8, 9)[1]
    assert any(line.startswith("duplicates: 79 training images") for line in advice(40, 40, pixels="equal"))


@pytest.mark.parametrize(("channels", "classes"), [(1, 3), (3, 3), (3, 130)])
def test_the_sheet_shows_each_image_in_its_row_and_stays_small(
    channels: int, classes: int, tmp_path: Path
) -> None:
    labels_N = np.arange(classes * 2) % classes
    images_NCHW = np.zeros((len(labels_N), channels, 20, 40), np.uint8)
    images_NCHW[labels_N == 1] = 200
    names = tuple(
        f"a class with a name that is far too long for any label, number {label}" for label in range(classes)
    )
    split = Split(images_NCHW, labels_N)
    draw_contact_sheet(make_dataset("x", split, split, names), tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width < 1000
        assert sheet.height < 60 * min(classes, MOST_CLASSES) + 60
        pixels = np.asarray(sheet)
    top = pixels[5:30, -300:]  # to the right of the two images nothing is drawn
    assert (top == 255).all()
    second_row = (pixels[:-40, -600:] == 200).all(2)  # ten cells of 56 and a gap of 4
    assert second_row.sum() == 2 * 56 * 28
