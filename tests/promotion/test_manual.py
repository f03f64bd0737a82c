"""Promotion and rollback by hand, on a real store through the real command line, mistakes included."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from modelyard.bundle import open_bundle, write_manifest
from modelyard.console.doctor import examine
from modelyard.data.packed import pack
from modelyard.errors import BundleError
from modelyard.home import Home
from modelyard.promotion import automatic
from modelyard.promotion.difference import difference
from modelyard.promotion.judging import GATES_TAG, Judgement, keep
from modelyard.promotion.limits import GatesConfig
from modelyard.registry import versions as registry
from modelyard.registry.aliases import Move, move_alias
from modelyard.releases import ledger_writer
from modelyard.releases.ledger import HEAD_FILE, LEDGER_FILE, read_ledger
from modelyard.serving.triton import export_repository
from modelyard.tracking.store import open_store
from tests.blank import Templates
from tests.bundles import lit_dataset
from tests.registry.versions import a_version

Said = tuple[int, str, str]
Command = Callable[..., Said]
SOUND, FOOLED, BETTER, WEAK = 1, 2, 3, 4


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, templates: Templates) -> Home:
    """Four versions of one model, the first of them champion."""
    home, dataset = templates.store(tmp_path_factory.mktemp("runs")), lit_dataset()
    data = home.steps / f"data-{dataset.digest[:16]}"
    pack(dataset, data)
    kinds = {"sound": (False, 0.9), "fooled": (True, 0.95), "better": (False, 0.97), "weak": (False, 0.5)}
    made = [
        a_version(home, name, fooled=fooled, validation=validation, digest=dataset.digest)
        for name, (fooled, validation) in kinds.items()
    ]
    assert [version.number for version in made] == [SOUND, FOOLED, BETTER, WEAK]
    assert automatic.promote(home, made[:1], data, GatesConfig()).promoted
    return home


@pytest.fixture
def home(made: Home) -> Home:
    """The same store with the first version as the only champion there ever was."""
    folder = made.releases / "lit"
    for path in (folder / LEDGER_FILE, folder / HEAD_FILE, *folder.glob("*.gates.json")):
        path.unlink(missing_ok=True)
    client, _ = open_store(made)
    for alias in client.get_registered_model("lit").aliases:
        client.delete_registered_model_alias("lit", alias)
        (folder / f"{alias}.alias").unlink(missing_ok=True)
    client.set_registered_model_tag("lit", "modelyard.ledger_head", "")
    first = registry.versions(made, "lit")[0]
    move_alias(made, Move(first, "champion", "first champion"), expected=None)
    return made


def pointers(home: Home) -> dict[str, int]:
    return {path.stem: int(path.read_text()) for path in (home.releases / "lit").glob("*.alias")}


def test_a_version_that_failed_a_gate_needs_force_and_the_ledger_tells(home: Home, models: Command) -> None:
    code, _, told = models("promote", f"lit@{FOOLED}")
    assert code == 1
    assert told.startswith(
        "modelyard: lit@2 was not promoted: overall: significantly worse on test (0 gained, 32 lost"
    )
    assert "; per class: significantly worse on class b (0 gained, 8 lost, p = 0.0391)" in told
    assert told.count("\n") == 1
    assert pointers(home) == {"champion": SOUND}
    kept = json.loads((home.releases / "lit" / "2.gates.json").read_text())
    assert (kept["passed"], kept["champion"]) == (False, SOUND)
    assert (
        registry.versions(home, "lit")[1].tags[GATES_TAG] == "failed: overall, per class, calibration change"
    )

    code, told, _ = models("promote", f"lit@{FOOLED}", "--force", "--reason", "demo")
    assert (code, pointers(home)) == (0, {"champion": FOOLED, "previous": SOUND})
    entry = next(move.entry for move in read_ledger(home.releases / "lit").moves if move.to == FOOLED)
    assert entry["why"] == "demo (forced although it failed overall, per class, calibration change)"
    assert (entry["evidence"]["forced"], entry["evidence"]["failed"]) == (
        True,
        ["overall", "per class", "calibration change"],
    )
    assert models("promote", "lit@2") == (0, "lit@2 is champion already; nothing was moved\n", "")


def test_rolling_back_twice_goes_two_steps_back(home: Home, models: Command) -> None:
    for number in (BETTER, WEAK):
        assert models("promote", f"lit@{number}")[0] == 0, "by hand the objective is not asked"
    assert models("rollback", "lit")[1] == "champion of lit: version 4 -> 3, rolled back from version 4\n"
    assert pointers(home) == {"champion": BETTER, "previous": SOUND}
    assert models("rollback", "lit")[0] == 0
    assert pointers(home) == {"champion": SOUND}
    code, _, told = models("rollback", "lit")
    assert (code, told) == (
        2,
        "modelyard: no version of lit led before 1: there is nothing to roll back to\n",
    )
    assert models("rollback", "lit", "--to", "4")[0] == 0
    assert pointers(home) == {"champion": WEAK, "previous": SOUND}
    assert (
        "never was champion (were: 1, 3, 4); modelyard models promote lit@2"
        in models("rollback", "lit", "--to", "2")[2]
    )


def test_a_run_does_not_promote_what_a_rollback_withdrew(home: Home, models: Command) -> None:
    better = registry.versions(home, "lit")[BETTER - 1]
    data = home.steps / f"data-{lit_dataset().digest[:16]}"
    assert automatic.promote(home, [better], data, GatesConfig()).promoted
    models("rollback", "lit")
    verdict = automatic.promote(home, [better], data, GatesConfig())
    assert (verdict.promoted, verdict.why) == (False, "a rollback withdrew it; promote it by hand")
    assert models("promote", "lit@3")[0] == 0
    assert pointers(home)["champion"] == BETTER


def test_a_candidate_is_judged_again_when_the_champion_moved(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, better, weak = registry.versions(home, "lit")
    moved: list[int | None] = []

    def meanwhile(home: Home, judgement: Judgement) -> None:
        if not moved:  # another process is quicker
            move_alias(home, Move(better, "champion", "quicker"), expected=SOUND)
            moved.append(judgement.champion)
        keep(home, judgement)

    monkeypatch.setattr(automatic, "keep", meanwhile)
    sound = registry.versions(home, "lit")[0]
    data = home.steps / f"data-{lit_dataset().digest[:16]}"
    monkeypatch.setitem(weak.tags, "validation_accuracy", "0.93")
    verdict = automatic.promote(home, [weak], data, GatesConfig())
    assert moved == [sound.number]
    assert (verdict.promoted, verdict.why) == (False, "not better on validation than version 3")
    assert pointers(home)["champion"] == BETTER


def test_the_best_that_passes_leads_where_the_best_does_not(home: Home) -> None:
    _, fooled, better, weak = registry.versions(home, "lit")
    better.tags["validation_accuracy"] = "0.94"
    data = home.steps / f"data-{lit_dataset().digest[:16]}"
    verdict = automatic.promote(home, [weak, fooled, better], data, GatesConfig())
    assert verdict.promoted
    assert verdict.why.startswith("better on validation than version 1, not significantly worse on test")
    assert "; not version 2: refused by its gates, overall: significantly worse" in verdict.why
    assert pointers(home) == {"champion": BETTER, "previous": SOUND, "cnn": FOOLED}
    assert {judgement.version.number for judgement in verdict.judgements} == {FOOLED, BETTER, WEAK}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["promote", "lit@9"], "no version '9' of lit: registered are 1, 2, 3, 4 and the aliases champion"),
        (["promote", "lit"], "expected MODEL@VERSION such as lit@3, received 'lit'"),
        (["promote", "unlit@1"], "no model 'unlit' is registered: there are lit"),
        (["promote", "lit@3", "--alias", "previous"], "previous follows champion"),
        (["promote", "lit@3", "--alias", "../x"], "alias '../x' cannot be set: expected lower case letters"),
        (["rollback", "lit", "--to", "1"], "version 1 of lit is the champion already"),
        (["history", "unlit"], "no ledger of 'unlit' in"),
        (["history", "lit", "--alias", "rnn"], "alias 'rnn' of lit was never set: expected one of champion"),
        (["history", "lit", "--at", "noon"], "--at expects a time such as 2026-11-24T14:30"),
        (["history", "lit", "--at", "2001-01-01"], "nothing was released then: the first move was at 20"),
        (["diff", "lit@1", "lit@7"], "no version '7' of lit"),
    ],
)
def test_mistakes_are_one_line(models: Command, words: list[str], expected: str) -> None:
    code, _, told = models(*words)
    assert code == 2
    assert expected in told
    assert told.count("\n") == 1


def test_a_release_that_is_gone_altered_or_another_is_not_promoted(
    home: Home, models: Command, tmp_path: Path
) -> None:
    folder = home.releases / "lit" / str(BETTER)
    kept = Path(shutil.move(folder, tmp_path / "kept"))
    assert "version 3 of lit has no release folder" in models("promote", "lit@3")[2]
    shutil.copytree(home.releases / "lit" / str(FOOLED), folder)
    assert (
        "lit/3 is not what was registered (golden.npz, manifest.json, model.onnx); put its copy back"
        in models("promote", "lit@3", "--force")[2]
    )
    (folder / "model.onnx").write_bytes(b"broken")
    assert "does not match the manifest" in models("promote", "lit@3", "--force")[2]
    shutil.rmtree(folder)
    shutil.move(kept, folder)
    assert models("promote", "lit@3")[0] == 0


def test_what_served_at_a_time_is_told_with_its_digest(home: Home, models: Command) -> None:
    models("promote", "lit@3")
    entries = json.loads(models("history", "lit", "--json")[1])
    first, second = (entry for entry in entries if entry["alias"] == "champion")
    digests = [version.tags["onnx_sha256"] for version in registry.versions(home, "lit")]
    for entry, version in ((first, SOUND), (second, BETTER)):
        rows = json.loads(models("history", "lit", "--at", entry["time"], "--alias", "champion", "--json")[1])
        assert [(row["version"], row["onnx_sha256"]) for row in rows] == [(version, digests[version - 1])]
    assert "first champion" in models("history", "lit")[1]


def test_an_edited_ledger_is_found_by_verify_and_doctor(home: Home, models: Command) -> None:
    models("promote", "lit@3")
    code, told, _ = models("history", "lit", "--verify")
    assert (code, told) == (
        0,
        "lit: whole, 7 entries, end known to ledger.head and the registry, releases: 4\n",
    )
    (home.releases / ".snapshot").mkdir(exist_ok=True)
    report = examine(home)
    assert report["ledger of lit"].startswith("whole") and "ledger of .snapshot" not in report
    path = home.releases / "lit" / LEDGER_FILE
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"chosen by hand", b"chosen by none"))
    code, told, _ = models("history", "lit", "--verify")
    assert code == 1
    assert "line 6 was edited: its content does not have its hash" in told
    assert examine(home)["ledger of lit"].startswith("ALTERED: line 6 was edited")
    path.write_bytes(whole)
    code, _, told = models("history", "lid", "--verify")
    assert code == 2
    assert told.endswith(f"no ledger of 'lid' in {home.releases}: there are lit\n")


def test_a_version_exchanged_under_digests_that_fit_is_found_everywhere(
    home: Home, models: Command, tmp_path: Path
) -> None:
    """M5: the manifest is rewritten, so that nothing in the bundle tells."""
    folder = home.releases / "lit" / str(BETTER)
    kept = shutil.copytree(folder, tmp_path / "kept")
    for name in ("model.onnx", "golden.npz"):
        shutil.copy(home.releases / "lit" / str(FOOLED) / name, folder / name)
    write_manifest(folder, open_bundle(kept))
    expected = "lit/3 is not what was registered (golden.npz, manifest.json, model.onnx); put its copy back"
    assert expected in models("promote", "lit@3", "--force")[2]
    assert expected in models("show", "lit@3")[2]
    code, told, _ = models("history", "lit", "--verify")
    assert (code, told.splitlines()[1]) == (1, f"version 3: {home.releases}/{expected}")
    assert expected in examine(home)["ledger of lit"]
    (home.releases / "lit" / "champion.alias").write_text("3\n")
    with pytest.raises(BundleError, match="lit/3 is not what was registered"):
        export_repository(home.releases, tmp_path / "repository")
    shutil.rmtree(folder)
    shutil.move(kept, folder)
    assert models("history", "lit", "--verify")[0] == 0


def test_versions_from_before_registrations_are_entered_once_and_aloud(
    home: Home, models: Command, tmp_path: Path
) -> None:
    """M5: a ledger of moves alone, as it was; a version whose ONNX file is another than the registry's is not
    entered.
    """
    folder = home.releases / "lit"
    moves = [move.entry for move in read_ledger(folder).moves]
    for path in (folder / LEDGER_FILE, folder / HEAD_FILE):
        path.unlink()
    client, _ = open_store(home)
    client.set_registered_model_tag("lit", "modelyard.ledger_head", "")
    ledger_writer.append(
        folder, [{name: move[name] for name in move if name not in {"prev", "hash"}} for move in moves]
    )
    assert "not entered yet: 1, 2, 3, 4" in models("history", "lit", "--verify")[1]
    kept = shutil.copytree(folder / str(WEAK), tmp_path / "kept")
    (folder / str(WEAK) / "model.onnx").write_bytes((folder / str(FOOLED) / "model.onnx").read_bytes())
    write_manifest(folder / str(WEAK), open_bundle(kept))
    code, _, told = models("promote", "lit@3")
    assert (code, sorted(read_ledger(folder).registered)) == (0, [1, 2, 3])
    assert (
        "NOTE: lit@4 was not entered into its ledger: " in told and "(model.onnx); put its copy back" in told
    )
    assert "NOTE: the files of lit@1, 2, 3 were entered into its ledger" in told
    shutil.rmtree(folder / str(WEAK))
    shutil.move(kept, folder / str(WEAK))
    assert "NOTE: the files of lit@4 were" in models("rollback", "lit")[2]
    assert "NOTE" not in models("promote", "lit@3")[2]
    assert sorted(read_ledger(folder).registered) == [1, 2, 3, 4]
    assert models("history", "lit", "--verify")[0] == 0


def test_the_difference_of_two_versions_names_what_changed(home: Home) -> None:
    sound, fooled = registry.versions(home, "lit")[:2]
    told = difference(home, sound, fooled)
    assert told["mcnemar"] == {"gained": 0, "lost": 32, "p_value": pytest.approx(2 * 0.5**32), "images": 200}
    assert told["changed_answers"] == 32
    assert told["examples"][0] == {"test image": 1, "label": "b", "first": "b", "second": "a"}
    assert [row["change"] for row in told["classes"]] == pytest.approx([0, -0.2, -0.2, -0.2, -0.2])
    assert next(row for row in told["metrics"] if row["metric"] == "test/accuracy")[
        "change"
    ] == pytest.approx(0.05)
    assert told["data"][0]["test"] == 200
