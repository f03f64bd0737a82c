"""A run's look at its data, against what the champion of a real store was trained on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from modelyard.config import Config
from modelyard.data.datasets import Dataset, Split, make_dataset
from modelyard.data.packed import pack
from modelyard.errors import DataRefused, StoreError
from modelyard.home import Home
from modelyard.inspection.validation import ValidationConfig
from modelyard.recipes.named import make_recipe
from modelyard.releases.ledger import LEDGER_FILE
from modelyard.steps.freshness import examine, refuse_unfit
from modelyard.steps.nodes import nodes
from modelyard.steps.preparation import prepare
from modelyard.steps.requests import BuildRequest
from tests.bundles import CLASSES, lit_bundle, lit_dataset
from tests.data.samples import image_folder, modelyard

LOOSE = ValidationConfig(max_duplicate_share=1, max_leak_share=1)
"""The hand-made images are few and alike."""


def prepared(home: Home, dataset: Dataset) -> dict[str, str]:
    """As the step leaves a data set."""
    folder = home.steps / f"data-{dataset.digest[:16]}"
    pack(dataset, folder)
    return {"data_step": folder.name, "data_digest": dataset.digest, "dataset": dataset.name}


@pytest.fixture
def home(store: Path) -> Home:
    """A store whose champion of `lit` was trained on the data set of that name."""
    home, dataset = Home(store / "runs"), lit_dataset()
    prepared(home, dataset)
    lit_bundle(home.releases / "lit" / "1", fooled=False, metrics={}, data_digest=dataset.digest)
    (home.releases / "lit" / "champion.alias").write_text("1\n")
    return home


def without_last_class() -> Dataset:
    dataset = lit_dataset()
    kept = np.flatnonzero(dataset.train.labels_N != 4)
    train, test = (
        Split(split.in_memory[kept], split.labels_N[kept]) for split in (dataset.train, dataset.test)
    )
    return make_dataset("lit", train, test, CLASSES[:4])


def test_the_same_data_are_unchanged_and_other_ones_are_told(home: Home) -> None:
    same = examine(home, prepared(home, lit_dataset()), LOOSE)
    assert (same.changed, same.summary) == (False, "lit: data unchanged since lit version 1")
    found = examine(home, prepared(home, lit_dataset(brightness=120)), LOOSE)
    assert found.changed and {test.what for test in found.drifted} >= {
        "image means, train",
        "image means, test",
    }
    assert "lit: data changed since lit version 1: image means, train drifted by 1.000" in found.summary
    refuse_unfit(found)
    first = examine(
        Home(home.root.with_name("empty")), prepared(Home(home.root.with_name("empty")), lit_dataset()), LOOSE
    )
    assert (first.reference, first.changed) == (None, True)


def test_an_altered_ledger_is_no_lack_of_a_champion(home: Home) -> None:
    """Else nothing would be compared, and all data were fit."""
    (home.releases / "lit" / LEDGER_FILE).write_text('{"hash": ""}\n')
    with pytest.raises(StoreError, match=r"ledger\.jsonl: line 1 was edited"):
        examine(home, prepared(home, without_last_class()), LOOSE)


def test_a_class_that_is_gone_is_refused_with_the_way_out(home: Home) -> None:
    found = examine(home, prepared(home, without_last_class()), LOOSE)
    with pytest.raises(
        DataRefused,
        match=r"lit: these data are refused: classes gone: e \(--set validation.allow_removed_classes=true\)",
    ):
        refuse_unfit(found)
    assert "--name" not in found.problems[0]
    refuse_unfit(
        examine(home, prepared(home, without_last_class()), LOOSE.override(["allow_removed_classes=true"]))
    )


def test_data_without_a_class_in_common_are_told_to_be_another_models(home: Home) -> None:
    found = examine(home, prepared(home, lit_dataset(classes=("k", "l"))), LOOSE)
    assert found.problems[0].endswith(
        "; none in common with lit version 1: a model of its own takes --name NAME"
    )


def test_data_that_two_models_share_are_told_by_the_models_name(home: Home) -> None:
    ready = prepared(home, lit_dataset(brightness=120))
    examine(home, ready, LOOSE)
    assert examine(home, ready | {"dataset": "p2-lit"}, LOOSE).summary.startswith("p2-lit: no champion yet")


def test_a_profile_outlives_its_data_and_without_one_the_bundle_still_says_something(home: Home) -> None:
    examine(home, prepared(home, lit_dataset(brightness=120)), LOOSE)
    shutil.rmtree(home.steps)
    assert examine(home, prepared(home, lit_dataset(brightness=90)), LOOSE).drifted
    shutil.rmtree(home.steps)
    shutil.rmtree(home.profiles)
    found = examine(home, prepared(home, without_last_class()), LOOSE)
    assert not found.tests and "images and their counts not kept -> not compared" in found.summary
    assert "classes gone: e" in found.problems[0]


def test_rules_change_no_key_and_a_step_leaves_its_profile(store: Path, home: Home) -> None:
    recipe = make_recipe("cnn", "smoke")
    ready = prepare(str(image_folder(store / "images", {"a": 9, "b": 9})), home)
    profile = json.loads((home.profiles / f"{ready['data_digest']}.json").read_text())
    assert profile["classes"] == ["a", "b"]

    def keys(made: Config) -> list[str]:
        request = BuildRequest.model_validate({"recipe": made, "label": "cnn", "seed": 0, **ready})
        return [node.key for node in nodes(request)]

    assert keys(recipe) == keys(recipe.override(["validation.min_images_per_class=3", "gates.max_ece=0.1"]))
    assert keys(recipe) != keys(recipe.override(["training.epochs=9"]))


def test_the_command_line_compares_data_sets_and_releases(
    home: Home, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(image_folder(store / "images", {"a": 20, "b": 20}, size=(3, 5)))
    assert modelyard("data", "drift", "lit@champion", folder) == 0
    told = capsys.readouterr().out
    assert (
        "a scheduled run would refuse images: classes gone: c, d, e (--set "
        "validation.allow_removed_classes=true)" in told
    )
    assert modelyard("data", "drift", folder, folder, "--json") == 0
    assert json.loads(capsys.readouterr().out)["summary"] == "images: data unchanged since images"
    assert modelyard("data", "drift", "lit@nobody", folder) == 2
    assert "no release 'lit@nobody'" in capsys.readouterr().err
    assert modelyard("data", "drift", folder, folder, "--set", "validation.pixel_drfit=1") == 2
    assert "did you mean validation.pixel_drift?" in capsys.readouterr().err
