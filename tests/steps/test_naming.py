"""Which model a path's runs belong to, in new stores and in those from before sources were recorded."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from modelyard.console import plan
from modelyard.data.datasets import Dataset
from modelyard.errors import DataError
from modelyard.home import Home
from modelyard.progress import SilentProgress
from modelyard.recipes.request import CompareRequest
from modelyard.sources.names import LEGAL, safe_name
from modelyard.steps import naming
from modelyard.steps.naming import MOST_BYTES, model_name
from modelyard.steps.preparation import prepare
from tests.bundles import lit_bundle, lit_dataset
from tests.data.samples import image_folder, modelyard

PETS, PARTS = ("a", "b"), ("k", "l")


@pytest.fixture
def home(store: Path) -> Home:
    return Home(store / "runs")


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    told: list[str] = []
    monkeypatch.setattr(SilentProgress, "say", lambda _, text: told.append(text))
    return told


def named(
    home: Home, path: Path, classes: tuple[str, ...] = PETS, name: str = "", *, claim: bool = True
) -> str:
    """The name of a run's model; a folder is made where there is none."""
    path.mkdir(parents=True, exist_ok=True)
    return model_name(home, str(path), loaded(path, classes), name, claim=claim)


def loaded(path: Path, classes: tuple[str, ...]) -> Dataset:
    return replace(lit_dataset(classes=classes), name=safe_name(path.name))


def champion(home: Home, name: str, classes: tuple[str, ...]) -> None:
    lit_bundle(home.releases / name / "1", fooled=False, metrics={}, classes=classes, name=name)
    (home.releases / name / "champion.alias").write_text("1\n")


@pytest.mark.parametrize("classes", [PETS, PARTS], ids=["the same classes", "others"])
def test_two_folders_that_are_called_alike_are_two_models_and_each_keeps_its_name(
    home: Home, store: Path, said: list[str], classes: tuple[str, ...]
) -> None:
    first, second, third = store / "p1" / "images", store / "p2" / "images", store / "x" / "p2" / "images"
    assert named(home, first) == "images"
    assert said == []
    assert named(home, second, classes) == "p2-images"
    assert len(said) == 1 and f"{second} is p2-images" in said[0] and "--name NAME" in said[0]
    assert named(home, third, classes) == "x-p2-images"
    again = [named(home, path, claim=False) for path in (first, second, third, first)]
    assert again == ["images", "p2-images", "x-p2-images", "images"]


def test_a_plan_remembers_nothing(home: Home, store: Path) -> None:
    assert named(home, store / "p1" / "images", claim=False) == "images"
    assert named(home, store / "p2" / "images") == "images"
    assert named(home, store / "p1" / "images") == "p1-images"


def test_a_given_name_holds_and_is_no_other_folders_by_chance(home: Home, store: Path) -> None:
    assert named(home, store / "images", name="pets") == "pets"
    assert named(home, store / "other", name="pets") == "pets", "two sources of one model"
    assert named(home, store / "pets") not in {"pets", "images"}
    assert named(home, store / "images") == "pets", "as it was called before"
    assert named(home, store / "images", name="trial") == "trial"
    assert named(home, store / "images") == "pets", "a later --name is for its run alone"


@pytest.mark.parametrize("name", ["mnist", "auto", "My Pets", "../up", "-x", "a" * 65])
def test_a_name_that_may_not_be_given_is_refused(home: Home, store: Path, name: str) -> None:
    with pytest.raises(DataError, match="--name"):
        named(home, store / "images", name=name)
    assert not (home.state / "sources.json").exists()


def test_a_link_is_the_folder_that_it_leads_to(home: Home, store: Path) -> None:
    assert named(home, store / "p1" / "images") == "images"
    (store / "link").symlink_to(store / "p1" / "images")
    assert named(home, store / "link") == "images"


@pytest.mark.parametrize(
    ("classes", "expected"),
    [(PETS, "images"), (("a", "m"), "images"), (PARTS, "p1-images")],
    ids=["same", "one", "none"],
)
def test_in_a_store_without_a_record_the_champions_classes_decide(
    home: Home, store: Path, classes: tuple[str, ...], expected: str
) -> None:
    champion(home, "images", PETS)
    assert named(home, store / "p1" / "images", classes) == expected


@pytest.mark.parametrize("parent", ["p1", "p2"])
@pytest.mark.parametrize(
    ("classes", "is_same"), [(PETS, True), (("b", "a"), True), (("a", "c"), False), (PARTS, False)]
)
def test_a_folder_that_was_moved_is_the_same_model_if_its_classes_are(
    home: Home, store: Path, parent: str, classes: tuple[str, ...], is_same: bool
) -> None:
    """Also where its name was made of more of its path."""
    named(home, store / "p1" / "images", ("m", "n"))
    named(home, store / "p2" / "images", ("m", "n"))
    before = {"p1": "images", "p2": "p2-images"}[parent]
    champion(home, before, PETS)
    (store / "moved").mkdir()
    shutil.move(store / parent / "images", store / "moved" / "images")
    moved = store / "moved" / "images"
    assert (named(home, moved, classes) == before) is is_same
    record = json.loads((home.state / "sources.json").read_text())
    assert (str(store / parent / "images") in record) is not is_same
    assert named(home, store / parent / "images", ("m", "n")) != named(home, moved, classes)


@pytest.mark.parametrize("dataset", ["digits", "pets"])
def test_named_and_imported_data_keep_their_name_unless_one_is_given(
    home: Home, store: Path, dataset: str
) -> None:
    assert (
        modelyard("data", "import", str(image_folder(store / "x", {"a": 9, "b": 9})), "--name", "pets") == 0
    )
    ready = replace(lit_dataset(), name=dataset)
    assert model_name(home, dataset, ready, claim=True) == dataset
    assert model_name(home, dataset, ready, "trial", claim=True) == "trial"
    assert not (home.state / "sources.json").exists()


@pytest.mark.parametrize(
    "path",
    [
        "n" * 60,
        f"{'d' * 100}/images",
        "猫/images",
        "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/x/y/z/images",
        "mnist/images",
        os.fsdecode(b"caf\xe9/images"),
        os.fsdecode(b"caf\xe9/\xff"),
    ],
    ids=["long", "long parent", "no Latin letter", "deep", "named set", "parent in Latin-1", "no text"],
)
def test_every_path_gets_a_legal_name_of_its_own(home: Home, store: Path, path: str) -> None:
    last = Path(path).name
    taken = [named(home, store / parent / last) for parent in ("one", "two")]
    found = [named(home, store / parent / path) for parent in ("three", "four", "five")]
    assert len({*taken, *found}) == 5 and all(LEGAL.fullmatch(name) for name in found)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"[" * 100_000,
        b'{"/x": 3}',
        b'{"/x": [3]}',
        b'{"/x": ["../up"]}',
        b" " * (MOST_BYTES + 1),
    ],
)
def test_a_record_that_cannot_be_read_is_none_and_is_made_anew(
    home: Home, store: Path, content: bytes
) -> None:
    home.state.mkdir(parents=True)
    (home.state / "sources.json").write_bytes(content)
    assert named(home, store / "images") == "images"
    assert json.loads((home.state / "sources.json").read_text())[str(store / "images")] == ["images"]


def test_the_record_forgets_the_oldest_before_it_is_too_large_to_be_read(
    home: Home, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(naming, "MOST_BYTES", 1000)
    for number in range(40):
        named(home, store / str(number) / "images")
    text = (home.state / "sources.json").read_bytes()
    assert len(text) <= 1000 and list(json.loads(text))[-1] == str(store / "39" / "images")


@pytest.mark.fault("the record of sources is a pipe", how="a FIFO in its place")
def test_a_record_that_is_a_pipe_hangs_nothing(home: Home, store: Path) -> None:
    home.state.mkdir(parents=True)
    os.mkfifo(home.state / "sources.json")
    assert named(home, store / "images") == "images"


def test_preparing_names_the_model_and_the_plan_shows_it(
    home: Home, store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "measure", lambda jobs: [None] * len(jobs))  # what it costs is no matter here
    first, second = (image_folder(store / part / "images", {"a": 9, part: 9}) for part in ("p1", "p2"))
    assert prepare(str(first), home, claim=True)["dataset"] == "images"
    words = ["run", "--plan", "--json", "--preset", "smoke", "-a", "rnn", "-d"]
    for path, more, expected in (
        (first, [], "images"),
        (second, [], "p2-images"),
        (second, ["--name", "bolts"], "bolts"),
        ("digits", [], "digits"),
    ):
        capsys.readouterr()
        assert modelyard(*words, str(path), *more) == 0
        assert {row["model"] for row in json.loads(capsys.readouterr().out)} == {expected}
    assert modelyard(*words, str(first), "--name", "No Name") == 2
    assert "--name no-name" in capsys.readouterr().err


def test_a_request_from_before_models_could_be_named_is_still_one() -> None:
    assert CompareRequest.model_validate({"dataset": "digits", "recipes": {}}).name == ""
