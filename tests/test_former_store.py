"""A store made by an earlier edition (commit 0dba254) opens, answers, is served, and goes on being moved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from modelyard.bundle import read_bundle
from modelyard.home import Home
from modelyard.inference.files import predict_files, released_folder
from modelyard.registry import history
from modelyard.registry import versions as registry
from modelyard.registry.aliases import Move, move_alias
from modelyard.registry.heads import registry_head
from modelyard.releases.chain import problems
from modelyard.releases.ledger import read_ledger
from tests.blank import former_store
from tests.serving.conftest import running


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return former_store(tmp_path_factory.mktemp("former"))


def test_its_versions_and_ledger_are_read(home: Home) -> None:
    found = registry.versions(home, "digits")
    assert [(version.number, version.tags["label"]) for version in found] == [(1, "cnn"), (2, "own.Net")]
    assert {alias for version in found for alias in version.aliases} == {"cnn", "champion", "custom"}
    ledger = history.verify(home, "digits")
    assert (ledger.checked.split(",")[0], ledger.problems) == ("3 entries", [])


def test_its_bundles_answer_as_they_did(home: Home, tmp_path: Path) -> None:
    folder = released_folder(home, "digits@champion")
    bundle = read_bundle(folder)
    images_BHWC, probabilities_BK = bundle.samples()
    Image.fromarray(images_BHWC[0, ..., 0]).save(tmp_path / "a.png")
    (row,) = predict_files(home, "digits@champion", [tmp_path / "a.png"])
    assert row["label"] == bundle.manifest.classes[int(np.argmax(probabilities_BK[0]))]


def test_its_releases_are_served_and_its_aliases_move(home: Home, tmp_path: Path) -> None:
    with running(home.releases, tmp_path / "log", "--workers", "1", "--poll-s", "0.05") as server:
        served = {card["name"]: card["version"] for card in server.client.get("/models").json()}
        assert served == {"digits": "2", "digits-cnn": "1", "digits-custom": "2"}
        first = registry.versions(home, "digits")[0]
        move_alias(home, Move(first, "champion", "tried"), expected=2)
        server.wait_for(
            lambda: any(
                event["version"] == "1" for event in server.events("serving") if event["model"] == "digits"
            )
        )
    assert not problems(read_ledger(home.releases / "digits"), registry_head(home, "digits"))
