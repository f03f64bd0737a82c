"""A store made by an earlier commit opens, answers, is served, and goes on being moved."""

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

ENTRIES = {"0dba254": 3, "2f58f3d": 10}
"""Commit -> moves in the ledger of its store."""
ALIASES = {
    "0dba254": {1: {"cnn"}, 2: {"champion", "custom"}},
    "2f58f3d": {1: {"champion", "cnn", "staging"}, 2: {"custom"}},
}
"""Commit -> version -> what points to it."""


@pytest.fixture(scope="module", params=ENTRIES)
def commit(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def home(commit: str, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return former_store(tmp_path_factory.mktemp("former"), commit)


def test_its_versions_and_ledger_are_read(home: Home, commit: str) -> None:
    found = registry.versions(home, "digits")
    assert [(version.number, version.tags["label"]) for version in found] == [(1, "cnn"), (2, "own.Net")]
    assert {version.number: set(version.aliases) for version in found} == ALIASES[commit]
    ledger = history.verify(home, "digits")
    assert (ledger.checked.split(",")[0], ledger.problems) == (f"{ENTRIES[commit]} entries", [])


def test_its_bundles_answer_as_they_did(home: Home, tmp_path: Path) -> None:
    for number in ALIASES["0dba254"]:
        folder = released_folder(home, f"digits@{number}")
        bundle = read_bundle(folder)
        images_BHWC, probabilities_BK = bundle.samples()
        Image.fromarray(images_BHWC[0, ..., 0]).save(tmp_path / "a.png")
        (row,) = predict_files(home, f"digits@{number}", [tmp_path / "a.png"])
        expected = dict(zip(bundle.manifest.classes, map(float, probabilities_BK[0]), strict=True))
        assert row["label"] == bundle.manifest.classes[int(np.argmax(probabilities_BK[0]))]
        assert row["probabilities"] == pytest.approx(expected, abs=1e-4)


def test_its_releases_are_served_and_its_aliases_move(home: Home, commit: str, tmp_path: Path) -> None:
    leads = {alias: str(number) for number, aliases in ALIASES[commit].items() for alias in aliases}
    with running(home.releases, tmp_path / "log", "--workers", "1", "--poll-s", "0.05") as server:
        served = {card["name"]: card["version"] for card in server.client.get("/models").json()}
        names = {alias: "digits" if alias == "champion" else f"digits-{alias}" for alias in leads}
        assert served == {names[alias]: number for alias, number in leads.items()}
        first, second = registry.versions(home, "digits")
        other, now = (second, 1) if leads["champion"] == "1" else (first, 2)
        move_alias(home, Move(other, "champion", "tried"), expected=now)
        server.wait_for(
            lambda: any(
                event["version"] == str(other.number)
                for event in server.events("serving")
                if event["model"] == "digits"
            )
        )
    assert not problems(read_ledger(home.releases / "digits"), registry_head(home, "digits"))
