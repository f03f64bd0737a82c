"""A folder is decoded again exactly when something changed; content lies in the cache once and goes when
nobody names it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from modelyard.data.datasets import Dataset, OnProgress
from modelyard.data.options import FolderOptions
from modelyard.data.packed import open_packed
from modelyard.errors import DataError
from modelyard.home import Home
from modelyard.progress import SilentProgress
from modelyard.releases.folders import champion_size
from modelyard.sources import pictures
from modelyard.sources.cache import load_folder
from modelyard.sources.folder import read_folder
from modelyard.sources.listing import Listing
from modelyard.steps.nodes import export_node, train_node
from modelyard.steps.preparation import prepare
from modelyard.steps.requests import BuildRequest
from tests.bundles import HEIGHT, WIDTH, lit_bundle
from tests.data.samples import image_folder


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that were decoded, in order."""
    calls: list[Path] = []

    def counted(listing: Listing, options: FolderOptions, scratch: Path, on_progress: OnProgress) -> Dataset:
        calls.append(listing.folder)
        return read_folder(listing, options, scratch, on_progress)

    monkeypatch.setattr(pictures, "read_folder", counted)
    return calls


def packed(store: Path) -> list[str]:
    return sorted(path.name for path in (store / "cache" / "packed").iterdir())


def test_nothing_is_decoded_twice(store: Path, decoded: list[Path]) -> None:
    root = image_folder(store / "images", {"a": 5, "b": 5})
    first, again = (load_folder(root, FolderOptions()) for _ in range(2))
    assert (first.digest, first.origin) == (again.digest, again.origin)
    assert len(decoded) == 1
    load_folder(root, FolderOptions(height=8))
    load_folder(root, FolderOptions())
    assert len(decoded) == 2
    assert not list((store / "cache" / "folders").glob("*.partial"))


def test_a_champion_of_the_same_size_changes_nothing_and_another_is_followed(
    store: Path, decoded: list[Path]
) -> None:
    root = image_folder(store / "photos", {"a": 5, "b": 5}, size=(150, 300))
    for before, shape, count in (
        (None, (1, 64, 128), 1),
        ((64, 128), (1, 64, 128), 1),
        (None, (1, 64, 128), 1),
        ((20, 30), (1, 20, 30), 2),
        ((20, 30), (1, 20, 30), 2),
    ):
        assert (load_folder(root, FolderOptions(size_before=before)).form.chw, len(decoded)) == (shape, count)
    assert len(list((store / "cache" / "folders").glob("*.json"))) == 1


def test_a_model_keeps_the_size_of_its_champion(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, home, said = (
        image_folder(store / "Lit", {"a": 5, "b": 5}, size=(150, 300)),
        Home(store / "runs"),
        list[str](),
    )
    monkeypatch.setattr(SilentProgress, "say", lambda _, text: said.append(text))

    def size() -> tuple[int, int]:
        height, width = open_packed(home.steps / prepare(str(root), home)["data_step"]).form.size
        return height, width

    assert size() == (64, 128)
    lit_bundle(home.releases / "lit" / "3", fooled=False, metrics={})
    (home.releases / "lit" / "champion.alias").write_text("3\n")
    assert size() == (HEIGHT, WIDTH)
    sizes = [text.split("(")[1].split(")")[0] for text in said if "pixels" in text]
    assert sizes == ["the longer side 128", "the champion's size"]
    for content in (b"{}", b"\xff", b"[]"):  # a champion that cannot be read says nothing of a size
        (home.releases / "lit" / "3" / "manifest.json").write_bytes(content)
        assert champion_size(home.releases, "lit") is None
    assert champion_size(home.releases, "other") is None


def test_a_change_is_decoded_and_the_former_content_goes(store: Path, decoded: list[Path]) -> None:
    root = image_folder(store / "images", {"a": 5, "b": 5})
    first = load_folder(root, FolderOptions())
    os.utime(root / "a" / "0.png", (time.time(), 12345))
    assert load_folder(root, FolderOptions()).digest == first.digest
    (root / "a" / "0.png").write_bytes((root / "a" / "1.png").read_bytes())
    second = load_folder(root, FolderOptions())
    assert second.digest != first.digest
    assert len(decoded) == 3
    assert packed(store) == [second.digest[:16]]


@pytest.mark.fault("packing data is killed", how="half-written files as a kill leaves them")
def test_what_a_kill_left_is_cleared(store: Path, decoded: list[Path]) -> None:
    root = image_folder(store / "images", {"a": 5, "b": 5})
    load_folder(root, FolderOptions())
    (place,) = (store / "cache" / "folders").glob("*.json")
    place.write_text("{half")
    rest = place.with_suffix(".partial")
    rest.mkdir()
    (rest / "train_images.npy").write_bytes(b"half")
    load_folder(root, FolderOptions())
    assert len(decoded) == 2
    assert not rest.exists()


def test_altered_content_is_refused(store: Path) -> None:
    root = image_folder(store / "images", {"a": 5, "b": 5})
    load_folder(root, FolderOptions())
    (images,) = (store / "cache" / "packed").glob("*/test_images.npy")
    content = bytearray(images.read_bytes())
    content[-1] ^= 1
    images.write_bytes(content)
    with pytest.raises(DataError, match="it was altered, delete the folder and run again"):
        load_folder(root, FolderOptions())


def test_a_run_shares_the_blocks_of_the_cache_and_is_named_safely(store: Path) -> None:
    root = image_folder(store / "mnist", {"a": 9, "b": 9})
    home = Home(store / "runs")
    prepared = prepare(str(root), home)
    (images,) = (store / "cache" / "packed").glob("*/train_images.npy")
    assert images.samefile(home.steps / prepared["data_step"] / "train_images.npy")
    assert prepared["dataset"] == "mnist-folder"


def test_equal_content_of_two_names_is_trained_once_and_registered_twice(store: Path) -> None:
    from modelyard.recipes.named import make_recipe

    home, recipe = Home(store / "runs"), make_recipe("cnn", "smoke")
    cats, pets = (
        BuildRequest(
            recipe=recipe,
            label="cnn",
            seed=0,
            **prepare(str(image_folder(store / name, {"a": 9, "b": 9})), home),
        )
        for name in ("cats", "pets")
    )
    assert (cats.dataset, pets.dataset) == ("cats", "pets")
    assert train_node(cats).key == train_node(pets).key
    assert export_node(cats).key != export_node(pets).key
