"""`data import` gives a folder a name that every command takes; `data remove` takes it away."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from modelyard.console import plan
from modelyard.samples import ImageForm
from modelyard.sources.names import BUILT_IN
from modelyard.sources.sources import available, load_dataset
from tests.data.samples import idx_folder, image_folder, modelyard


def test_an_imported_folder_may_go(
    store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = image_folder(store / "My Pets", {"cat": 6, "dog": 5})
    assert modelyard("data", "import", str(root)) == 0
    shutil.rmtree(root)
    out = capsys.readouterr().out
    assert "my-pets: 9 training and 2 test images, digest " in out
    assert "next: modelyard data show my-pets | modelyard run --dataset my-pets" in out
    assert modelyard("data", "list", "--json") == 0
    states = {row["name"]: row["state"] for row in json.loads(capsys.readouterr().out)}
    assert states["my-pets"].startswith("imported 20")
    assert f"from {root}, digest {load_dataset('my-pets').digest[:12]}" in states["my-pets"]
    assert modelyard("data", "show", "my-pets", "--picture", str(store / "sheet.png"), "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["origin"]["source"] == str(root)
    assert shown["origin"]["imported"].startswith("20")
    monkeypatch.setattr(
        plan, "measure", lambda jobs: [None for _ in jobs]
    )  # how long they take is another test's matter
    assert modelyard("run", "--dataset", "my-pets", "--plan", "--json") == 0


def test_equal_content_is_a_no_op_and_other_content_replaces(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (image_folder(store / str(seed), {"a": 5, "b": 5}, seed=seed) for seed in (1, 2))
    assert modelyard("data", "import", str(first), "--name", "pets") == 0
    before = load_dataset("pets")
    assert modelyard("data", "import", str(shutil.copytree(first, store / "copy")), "--name", "pets") == 0
    assert "nothing changed: pets had this content already" in capsys.readouterr().out
    assert load_dataset("pets").origin == before.origin
    assert modelyard("data", "import", str(second), "--name", "pets") == 0
    out, after = capsys.readouterr().out, load_dataset("pets")
    assert (
        f"digest {after.digest}\nread as: class folders\nreplaced what pets stood for, digest {before.digest}"
        in out
    )
    assert after.digest != before.digest


def test_two_folders_of_one_name_are_not_one_import(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A7: what would be replaced unasked is refused, a folder of its own and one that is gone are not."""
    first, second = (
        image_folder(store / str(seed) / "images", {"a": 5, "b": 5}, seed=seed) for seed in (1, 2)
    )
    assert modelyard("data", "import", str(first)) == modelyard("data", "import", f"{first}/") == 0
    before = load_dataset("images")
    capsys.readouterr()
    assert modelyard("data", "import", str(second)) == 2
    assert (
        f"images was imported from {first}; expected another --name for {second}, or --name images"
        in capsys.readouterr().err
    )
    assert load_dataset("images").digest == before.digest
    shutil.rmtree(first)
    assert modelyard("data", "import", str(second)) == 0
    assert load_dataset("images").digest != before.digest


def test_removing_drops_name_and_content(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = idx_folder(store / "idx")
    assert modelyard("data", "import", str(root), "--name", "pets") == 0
    digest = load_dataset("pets").digest
    assert (store / "cache" / "packed" / digest[:16]).is_dir()
    assert modelyard("data", "remove", "pets") == 0
    assert "pets" not in available()
    assert not (store / "cache" / "packed" / digest[:16]).exists()
    capsys.readouterr()
    assert modelyard("data", "remove", "pets") == 2
    assert "'pets' is not imported; imported are: none" in capsys.readouterr().err
    assert modelyard("data", "remove", "mnist") == 2
    assert "'mnist' is built in and stays" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["mnist", "auto", "My Pets", "../up", "it's", ".x"])
def test_names_that_are_not_allowed_write_nothing(
    name: str, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = image_folder(store / "images", {"a": 5, "b": 5})
    assert modelyard("data", "import", str(root), "--name", name) == 2
    message = capsys.readouterr().err
    assert "built-in data set" in message or "expected lower-case letters" in message
    assert not (store / "cache").exists()


def test_an_imported_size_is_fixed(
    store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "measure", lambda jobs: [None for _ in jobs])
    root = image_folder(store / "images", {"a": 9, "b": 9})
    assert modelyard("data", "import", str(root), "--name", "pets", "--height", "20", "--channels", "3") == 0
    assert load_dataset("pets").form == ImageForm(3, 20, 11)
    capsys.readouterr()
    assert modelyard("run", "--dataset", "pets", "--plan", "--set", "data.height=28") == 2
    assert "pets has height 20, data.height=28 is for image folders only" in capsys.readouterr().err
    assert modelyard("run", "--dataset", "pets", "--plan", "--set", "data.height=20") == 0


@pytest.mark.parametrize("option", ["fit=pad", "white=4095", "validation_as=validation"])
def test_what_an_import_was_not_read_with_is_refused_and_what_it_was_is_not(
    option: str, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = image_folder(
        store / "images", {f"{split}/{name}": 9 for split in ("train", "val") for name in "ab"}
    )
    assert modelyard("data", "import", str(root), "--name", "plain") == 0
    assert modelyard("data", "import", str(root), "--name", "other", "--set", f"data.{option}") == 0
    capsys.readouterr()
    assert modelyard("data", "show", "other", "--set", f"data.{option}") == 0
    for name in ("plain", "digits"):
        assert modelyard("data", "show", name, "--set", f"data.{option}") == 2
        message = capsys.readouterr().err
        assert f"data.{option} is for image folders only" in message and message.count("\n") == 1
    assert modelyard("data", "import", str(idx_folder(store / "idx")), "--set", f"data.{option}") == 2
    assert "is for image folders only" in capsys.readouterr().err


def test_idx_files_can_be_imported_with_class_names(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = idx_folder(store / "idx")
    assert modelyard("data", "show", str(root)) == 2
    assert "holds IDX files; give them a name first: modelyard data import" in capsys.readouterr().err
    assert modelyard("data", "import", str(root)) == 0
    assert load_dataset("idx").classes == ("0", "1")
    (root / "classes.txt").write_text("cat\ndog\n")
    assert modelyard("data", "import", str(root)) == 0
    assert load_dataset("idx").classes == ("cat", "dog")
    assert load_dataset("idx").form == ImageForm(1, 6, 5)


def test_a_misspelt_import_gets_its_neighbour(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert modelyard("data", "import", str(idx_folder(store / "idx")), "--name", "my-pets") == 0
    assert modelyard("data", "show", "my-pest") == 2
    assert f"expected auto, {', '.join(BUILT_IN)}, my-pets or" in (err := capsys.readouterr().err)
    assert "did you mean my-pets?" in err
