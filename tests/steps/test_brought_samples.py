"""Samples without labels are read as the data were, and none that is held out is among them."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from modelyard.data.datasets import Split
from modelyard.data.packed import open_packed, open_unlabelled
from modelyard.data.splits import DataConfig, make_splits
from modelyard.errors import ConfigError, DataError
from modelyard.home import Home
from modelyard.recipes.named import make_recipe
from modelyard.samples.text import text_of
from modelyard.sources.known import Traits
from modelyard.steps.brought_samples import bring_samples
from modelyard.steps.nodes import training_job, training_nodes
from modelyard.steps.preparation import check_model, prepare
from modelyard.steps.requests import BuildRequest
from modelyard.training.trial import measure
from tests.data.samples import image_folder

SAYINGS = [f"saying {number} of {'abcde'[number % 5]}" for number in range(60)]


@pytest.fixture
def pictures(store: Path) -> Path:
    return image_folder(store / "photos", {"a": 30, "b": 30})


@pytest.fixture
def table(store: Path) -> Path:
    rows = [f"{'ab'[number % 2]}\t{text}\n" for number, text in enumerate(SAYINGS)]
    (store / "sayings.tsv").write_text("label\ttext\n" + "".join(rows))
    return store / "sayings.tsv"


def brought(data: Path, unlabelled: Path | str) -> tuple[Split, str]:
    home = Home.current()
    prepared = prepare(str(data), home)
    recipe = make_recipe("rnn", "smoke", Traits(kind="text" if data.suffix == ".tsv" else "image"))
    recipe = recipe.override([f"data.unlabelled={unlabelled}", "training.unlabelled=pseudo"])
    digest = bring_samples(recipe, home.steps / prepared["data_step"], home)
    return open_unlabelled(home.steps / f"unlabelled-{digest[:16]}"), digest


def splits_of(data: Path) -> tuple[Split, Split, Split]:
    home = Home.current()
    splits = make_splits(open_packed(home.steps / prepare(str(data), home)["data_step"]), DataConfig())
    return splits.train, splits.validation, splits.test


def test_pictures_are_the_same_flat_nested_or_packed(pictures: Path, store: Path, heard: list[str]) -> None:
    nested = image_folder(store / "more", {"x": 5, "y/z": 4}, seed=7)
    (store / "flat").mkdir()
    for number, path in enumerate(sorted(nested.rglob("*.png"))):
        shutil.copy(path, store / "flat" / f"{number}.png")
    shutil.make_archive(str(store / "packed"), "zip", nested)
    found, digest = brought(pictures, nested)
    assert len(found) == 9 and found.labels_N.tolist() == [-1] * 9
    assert brought(pictures, store / "flat")[1] == brought(pictures, store / "packed.zip")[1] == digest
    first = np.asarray(Image.open(nested / "x" / "0.png"))
    assert np.array_equal(found.in_memory[0, 0], first)
    assert heard[-1] == "NOTE: unlabelled: 9 images"


def test_other_sizes_are_brought_to_that_of_the_data(pictures: Path, store: Path) -> None:
    found, _ = brought(pictures, image_folder(store / "more", {"x": 3}, seed=7, size=(40, 30)))
    assert found.form == open_packed(next(Home.current().steps.glob("data-*"))).form


def test_unreadable_pictures_are_left_out_and_named(pictures: Path, store: Path, heard: list[str]) -> None:
    more = image_folder(store / "more", {"x": 3}, seed=7)
    (more / "x" / "bad.png").write_bytes((more / "x" / "0.png").read_bytes()[:60])
    assert len(brought(pictures, more)[0]) == 3
    assert any("1 of 4 left out, unreadable: x/bad.png" in line for line in heard)


def pictures_at(folder: Path, split: Split) -> Path:
    folder.mkdir()
    for row, image_CHW in enumerate(split.in_memory):
        Image.fromarray(image_CHW[0]).save(folder / f"{row}.png")
    return folder


@pytest.mark.parametrize(("place", "what"), [(1, "validation"), (2, "test")])
def test_held_out_pictures_are_refused(place: int, what: str, pictures: Path, store: Path) -> None:
    held_out = splits_of(pictures)[place]
    more = pictures_at(store / "more", held_out)
    image_folder(more / "others", {"x": 3}, seed=7)
    expected = (
        rf"{len(held_out)} of its {len(held_out) + 3} images are {what} images of photos, such as 0.png"
    )
    with pytest.raises(DataError, match=expected):
        brought(pictures, more)


def test_training_pictures_are_allowed_and_said(pictures: Path, store: Path, heard: list[str]) -> None:
    more = pictures_at(store / "more", splits_of(pictures)[0].take(np.arange(5)))
    for _ in range(2):  # the second time from what was kept
        assert len(brought(pictures, more)[0]) == 5
        assert heard[-1] == "NOTE: unlabelled: 5 of them are training images, too"
    Image.fromarray(np.zeros((13, 11), np.uint8)).save(more / "new.png")
    assert len(brought(pictures, more)[0]) == 6


def _lines(path: Path, rows: list[str]) -> Path:
    (path / "more.txt").write_text("".join(f"{row}\n" for row in rows))
    return path / "more.txt"


def _packed_lines(path: Path, rows: list[str]) -> Path:
    (path / "more.txt.gz").write_bytes(gzip.compress("\n".join(rows).encode()))
    return path / "more.txt.gz"


def _column(path: Path, rows: list[str]) -> Path:
    (path / "more.csv").write_text("".join(f"{row}\n" for row in rows))
    return path / "more.csv"


def _named_column(path: Path, rows: list[str]) -> Path:
    (path / "more.csv").write_text("text\n" + "".join(f"{row}\n" for row in rows))
    return path / "more.csv"


def _columns(path: Path, rows: list[str]) -> Path:
    (path / "more.tsv").write_text("id\tmessage\n" + "".join(f"{n}\t{row}\n" for n, row in enumerate(rows)))
    return path / "more.tsv"


def _files(path: Path, rows: list[str]) -> Path:
    (path / "more" / "deep").mkdir(parents=True)
    for number, row in enumerate(rows):
        (path / "more" / "deep" / f"{number:03}.txt").write_text(row)
    return path / "more"


WAYS = [_lines, _packed_lines, _column, _named_column, _columns, _files]


@pytest.mark.parametrize("written", WAYS)
def test_words_are_the_same_however_they_lie(
    written: Callable[[Path, list[str]], Path], table: Path, store: Path
) -> None:
    rows = [f"another saying, number {number}".replace(",", "") for number in range(12)]
    found, _ = brought(table, written(store, rows))
    assert [text_of(row) for row in found.in_memory] == rows


def test_held_out_words_are_refused(table: Path, store: Path) -> None:
    test = [text_of(row) for row in splits_of(table)[2].in_memory]
    with pytest.raises(
        DataError, match=r"1 of its 3 texts are test texts of sayings, such as more.txt line 2"
    ):
        brought(table, _lines(store, ["one more", test[0], "and another"]))


@pytest.mark.parametrize(("given", "told"), [
    ("nowhere", "expected a folder, archive or table of images, or one of"), ("empty", "holds no images"),
    ("file.idx", "no such folder"), ("digits", "expected images of 11 x 13"),
])  # fmt: skip
def test_what_holds_none_is_refused(given: str, told: str, pictures: Path, store: Path) -> None:
    (store / "empty").mkdir()
    (store / "file.idx").write_bytes(b"123")
    with pytest.raises(DataError, match=told):
        brought(pictures, given if given == "digits" else store / given)


def test_samples_of_which_nothing_is_learnt_are_refused(pictures: Path, store: Path) -> None:
    recipe = make_recipe("rnn", "smoke").override([f"data.unlabelled={pictures}"])
    with pytest.raises(ConfigError, match=r"^data.unlabelled: expected a way to learn of them"):
        bring_samples(recipe, pictures, Home.current())


def test_they_are_a_parent_of_the_training_and_cost_is_measured_with_them(
    pictures: Path, store: Path
) -> None:
    home, more = Home.current(), image_folder(store / "more", {"x": 40}, seed=7)
    recipe = make_recipe("rnn", "smoke").override([f"data.unlabelled={more}", "training.unlabelled=fixmatch"])
    prepared = prepare(str(pictures), home)
    digest = bring_samples(recipe, home.steps / prepared["data_step"], home)
    request = BuildRequest(
        recipe=recipe, brought={"unlabelled": digest}, label="rnn", seed=0, device="cpu", **prepared
    )
    assert [node.step.name for node in training_nodes(request)] == ["data", "unlabelled", "train"]
    assert all((node.folder(home)).exists() for node in training_nodes(request)[:2])
    (cost,) = measure([training_job(request, home, home.checkpoints / "trial")])
    assert cost is not None and cost.seconds > 0


def test_that_there_are_none_is_told_before_anything_is_recorded(store: Path) -> None:
    home, recipe = Home.current(), make_recipe("cnn", "smoke").override(["training.unlabelled=pseudo"])
    request = BuildRequest(recipe=recipe, label="cnn", seed=0, **prepare("digits", home))
    with pytest.raises(ConfigError, match="expected samples without labels, received none"):
        check_model(request, home)
