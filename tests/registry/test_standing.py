"""Whatever somebody deletes, renames, moves or edits in MLflow: it is told, blocks nothing, and `models
repair` settles it.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from modelyard.console.doctor import examine
from modelyard.data.packed import pack
from modelyard.home import Home
from modelyard.inference.files import released_folder
from modelyard.progress import SilentProgress, current_progress
from modelyard.promotion import automatic, comparison
from modelyard.promotion.limits import GatesConfig
from modelyard.promotion.repairs import settle_all
from modelyard.registry import versions as registry
from modelyard.registry.standing import discrepancies
from modelyard.registry.vouching import HEAD_TAG, restore_names
from modelyard.releases import ledger_writer
from modelyard.releases.ledger import read_ledger
from modelyard.tracking import runs
from modelyard.tracking.store import open_store
from tests.blank import Templates
from tests.bundles import lit_dataset
from tests.registry.versions import a_version

Edit = Callable[[MlflowClient], object]
Command = Callable[..., tuple[int, str, str]]
SOUND, FOOLED = 1, 2
DATA = lit_dataset().digest


def data_of(home: Home) -> Path:
    return home.steps / f"data-{DATA[:16]}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, templates: Templates) -> Home:
    """Two versions that answer otherwise; the first is champion and `cnn`, the second no alias names."""
    home = templates.store(tmp_path_factory.mktemp("runs"))
    pack(lit_dataset(), data_of(home))
    first = a_version(home, "sound", fooled=False, validation=0.9, digest=DATA)
    a_version(home, "fooled", fooled=True, validation=0.95, digest=DATA)
    assert automatic.promote(home, [first], data_of(home), GatesConfig()).promoted
    ledger_writer.append(home.releases / "unlit", [{"model": "unlit", "action": "none"}])
    client, _ = open_store(home)
    client.create_registered_model("unlit", {HEAD_TAG: str(read_ledger(home.releases / "unlit").head)})
    shutil.copytree(home.releases, home.root / "kept")
    with (
        closing(sqlite3.connect(home.database)) as source,
        closing(sqlite3.connect(home.root / "kept.db")) as kept,
    ):
        source.backup(kept)
    return home


@pytest.fixture
def home(made: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """As it was made: the database's content, so that what MLflow has open stays good, and the releases."""
    with (
        closing(sqlite3.connect(made.root / "kept.db")) as kept,
        closing(sqlite3.connect(made.database)) as database,
    ):
        kept.backup(database)
    shutil.rmtree(made.releases)
    shutil.copytree(made.root / "kept", made.releases)
    for key in ("again", "new"):
        shutil.rmtree(made.steps / key, ignore_errors=True)
    monkeypatch.setenv("MODELYARD_HOME", str(made.root))
    return made


@pytest.fixture
def client(home: Home) -> MlflowClient:
    return open_store(home)[0]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a run tells the person who watches."""
    lines: list[str] = []
    monkeypatch.setattr(SilentProgress, "say", lambda _, text: lines.append(text))
    current_progress.set(SilentProgress())
    return lines


def run(home: Home, number: int = FOOLED) -> automatic.Verdict:
    """The end of a run that had registered this version before."""
    chosen = [version for version in registry.versions(home, "lit") if version.number == number]
    return automatic.promote(home, chosen, data_of(home), GatesConfig())


def served(home: Home) -> int:
    return int(released_folder(home, "lit@champion").name)


def delete_tags(client: MlflowClient) -> None:
    for version in ("1", "2"):
        for tag in client.get_model_version("lit", version).tags:
            client.delete_model_version_tag("lit", version, tag)


def exchange(client: MlflowClient) -> None:
    """Somebody else's code makes a model of this name anew."""
    client.delete_registered_model("lit")
    client.create_registered_model("lit")
    for _ in range(2):
        client.create_model_version("lit", "nowhere")
    client.set_registered_model_alias("lit", "champion", "2")


def delete_run(client: MlflowClient) -> None:
    client.delete_run(str(client.get_model_version("lit", "2").run_id))


def delete_experiment(client: MlflowClient) -> None:
    found = client.get_experiment_by_name("modelyard")
    assert found is not None
    client.delete_experiment(found.experiment_id)


def exchange_names(client: MlflowClient) -> None:
    for name, other in (("lit", "aside"), ("unlit", "lit"), ("aside", "unlit")):
        client.rename_registered_model(name, other)


def rename_experiment(client: MlflowClient) -> None:
    (found,) = client.search_experiments(filter_string="name = 'modelyard'")
    client.rename_experiment(found.experiment_id, "mine")


KINDS: dict[str, tuple[Edit, str]] = {
    "champion's version": (lambda c: c.delete_model_version("lit", "1"), "version 1: deleted in MLflow"),
    "a version": (lambda c: c.delete_model_version("lit", "2"), "version 2: deleted in MLflow"),
    "model": (lambda c: c.delete_registered_model("lit"), "model: deleted in MLflow"),
    "name": (lambda c: c.rename_registered_model("lit", "dark"), "model: named dark in MLflow"),
    "names": (exchange_names, "lit: model: named unlit in MLflow"),
    "another's model": (exchange, "file of version 1: unknown in MLflow, sha256"),
    "alias moved": (
        lambda c: c.set_registered_model_alias("lit", "champion", "2"),
        "champion: version 2 in MLflow",
    ),
    "alias deleted": (
        lambda c: c.delete_registered_model_alias("lit", "cnn"),
        "cnn: none in MLflow, version 1 in",
    ),
    "alias unknown": (
        lambda c: c.set_registered_model_alias("lit", "Best", "2"),
        "Best: version 2 in MLflow, none in",
    ),
    "tags": (delete_tags, "tags of version 1: no or another"),
    "digest": (
        lambda c: c.set_model_version_tag("lit", "1", "onnx_sha256", "0"),
        "tags of version 1: no or another",
    ),
    "score": (
        lambda c: c.set_model_version_tag("lit", "2", "architecture", "x"),
        "another architecture in MLflow",
    ),
    "head": (lambda c: c.set_registered_model_tag("lit", HEAD_TAG, "mine"), ""),
    "run": (delete_run, "deleted in MLflow, version 2 came of it"),
    "experiment": (delete_experiment, "store: experiment modelyard: deleted in MLflow"),
    "experiment's name": (rename_experiment, "store: experiment modelyard: named mine in MLflow"),
}
"""What somebody does -> how, and what is told of it."""
DAYS = [
    (["run", "score", "alias unknown", "champion's version"], "served"),
    (["model", "experiment"], "served"),
    (["name", "experiment's name"], ""),
    (["names"], ""),
    (["another's model"], "served"),
    (["alias moved", "alias deleted", "digest"], ""),
    (["tags", "a version", "head"], ""),
]
"""What somebody does on one day, and the kind of what is left when it is settled."""


@pytest.mark.parametrize(("kinds", "left"), DAYS, ids=str)
def test_it_is_told_and_settled(home: Home, client: MlflowClient, kinds: list[str], left: str) -> None:
    for kind in kinds:
        KINDS[kind][0](client)
    told = "\n".join(map(str, discrepancies(home)))
    assert [kind for kind in kinds if KINDS[kind][1] not in told] == []
    assert [each.done for each in settle_all(home) if each.failed] == []
    assert [each.kind for each in discrepancies(home)] == [left] * bool(left)
    assert served(home) == SOUND, "a deleted record ends no serving"


@pytest.mark.parametrize("day", [0, 4, 5])
def test_no_run_is_blocked_and_what_differs_then_is_told(
    home: Home, client: MlflowClient, said: list[str], day: int
) -> None:
    for kind in DAYS[day][0]:
        KINDS[kind][0](client)
    restore_names(home)
    new = a_version(home, "new", fooled=True, validation=0.97, digest=DATA)
    assert new.number > FOOLED, "a number is never given twice"
    verdict = run(home, new.number)
    assert not verdict.promoted and comparison.REFUSED in verdict.why, "it is compared with what is served"
    assert served(home) == SOUND
    theirs = client.get_registered_model("lit").aliases.get("champion")
    assert theirs == SOUND or any("champion" in line for line in said), "no silent difference"


@pytest.mark.parametrize("edit", [delete_run, delete_experiment])
def test_what_is_deleted_while_it_is_at_work_goes_on(
    home: Home, client: MlflowClient, said: list[str], edit: Edit
) -> None:
    edit(client)
    run_id = str(client.get_model_version("lit", "2").run_id)
    runs.finish_trial(home, run_id, {"x": 1.0})
    assert client.get_run(run_id).info.status == "FINISHED"
    assert [line for line in said if "was deleted in MLflow" in line] == said != []


def test_every_command_tells_it_and_a_dry_run_changes_nothing(
    home: Home, client: MlflowClient, models: Command
) -> None:
    assert models("history", "lit", "--verify")[0] == 0
    KINDS["alias moved"][0](client)
    told = "lit: alias champion: version 2 in MLflow, version 1 in the ledger; modelyard models repair lit"
    assert told in models("list")[1]
    _, rows, lines = models("list", "--json")
    assert [bool(row["differs"]) for row in json.loads(rows)] == [False, True] and told in lines
    assert told in models("show", "lit@champion")[2]
    code, said, _ = models("history", "lit", "--verify")
    assert (code, told in said) == (1, True)
    assert told in examine(home)["ledger of lit"]
    assert [row["done"] for row in json.loads(models("repair", "--dry-run", "--json")[1])] == [""]
    assert models("repair")[1].endswith(" -> put back\n")
    assert models("repair") == (0, "nothing differs\n", "")


def test_the_same_file_registered_anew_takes_the_aliases(
    home: Home, client: MlflowClient, said: list[str]
) -> None:
    client.delete_model_version("lit", "1")
    again = a_version(home, "again", fooled=False, validation=0.9, digest=DATA)
    assert run(home, again.number).why == "it is the champion already"
    assert client.get_registered_model("lit").aliases == {"champion": again.number, "cnn": again.number}
    assert (served(home), discrepancies(home)) == (again.number, [])
    assert [line.partition(":")[0] for line in said] == ["NOTE"] * 2 and "version 3 is the same file" in said[
        0
    ]
    assert [move.action for move in read_ledger(home.releases / "lit").moves[-2:]] == ["renumber"] * 2


def test_a_champion_that_was_lost_leads_until_another_does(
    home: Home, client: MlflowClient, models: Command
) -> None:
    client.delete_model_version("lit", "1")
    assert not run(home).promoted
    (lost,) = [
        move
        for move in read_ledger(home.releases / "lit").moves
        if move.action == "lost" and move.alias == "champion"
    ]
    assert (lost.before, lost.to, served(home)) == (SOUND, None, SOUND)
    assert "nothing to roll back to" in models("rollback", "lit")[2]
    assert models("promote", "lit@2", "--force")[0] == 0
    assert (served(home), discrepancies(home)) == (FOOLED, [])
    assert client.get_registered_model("lit").aliases["champion"] == FOOLED


def test_a_champion_that_was_lost_leaves_its_place_to_its_equal(
    home: Home, client: MlflowClient, said: list[str]
) -> None:
    """Another file, as good: MLflow would go without a champion for ever, while it is no better than the one
    that is served.
    """
    scores = {"validation/accuracy": 0.95, "validation/nll": 0.1}
    first, twin = (
        a_version(home, name, fooled=False, validation=0.95, digest=DATA, metrics=scores, producer=name)
        for name in ("a", "b")
    )
    assert run(home, first.number).promoted and not run(home, twin.number).promoted
    client.delete_model_version("lit", str(first.number))
    verdict = run(home, twin.number)
    assert verdict.promoted and f"as good on validation as version {first.number}" in verdict.why, verdict.why
    assert (served(home), discrepancies(home)) == (twin.number, [])


@pytest.mark.parametrize("force", [False, True])
def test_what_a_person_moved_in_mlflow_is_adopted_through_the_gates(
    home: Home, client: MlflowClient, models: Command, said: list[str], force: bool
) -> None:
    client.set_registered_model_alias("lit", "champion" if not force else "best", "2")
    run(home, SOUND)
    assert any("--adopt" in line for line in said), "a run leaves it and tells both remedies"
    code, told, _ = models("repair", "--adopt")
    moves = [
        (move.alias, move.to)
        for move in read_ledger(home.releases / "lit").moves
        if move.why == "adopted from MLflow"
    ]
    if force:
        assert (code, moves, discrepancies(home)) == (0, [("best", FOOLED)], [])
    else:
        assert (code, moves, len(discrepancies(home))) == (1, [], 1)
        assert "not settled: lit@2 was not promoted: overall" in told


def test_a_move_over_one_of_a_person_is_told(home: Home, client: MlflowClient, models: Command) -> None:
    client.create_model_version("lit", "nowhere")
    client.set_registered_model_alias("lit", "champion", "3")
    code, _, told = models("promote", "lit@2", "--force")
    assert (code, "champion of lit, which was moved to 3 in MLflow, is moved on" in told) == (0, True)
    assert (client.get_registered_model("lit").aliases["champion"], discrepancies(home)) == (FOOLED, [])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["delete", "lit@1", "--yes"], "lit@1 was not deleted: champion names version 1"),
        (["delete", "lit@champion", "--yes"], "expected MODEL@NUMBER or MODEL"),
        (["delete", "lit@7", "--yes"], "there is no 'lit@7' to delete"),
        (["delete", "lit", "--yes"], "lit was not deleted: champion names version 1"),
        (["delete", "dark", "--yes"], "there is no 'dark'"),
        (["delete", "lit@2"], "add --yes"),
        (["delete"], "expected MODEL@NUMBER, MODEL or --run ID"),
        (["delete", "--run", "0", "--yes"], "run 0 was not deleted"),
        (["delete", "../lit", "--yes"], "cannot be a model's name"),
        (["withdraw", "lit@previous"], "cannot be withdrawn"),
        (["withdraw", "lit"], "cannot be withdrawn"),
        (["repair", "dark"], "no model 'dark' is known: expected one of lit, unlit"),
    ],
)
@pytest.mark.usefixtures("home")
def test_what_is_in_use_is_not_deleted_in_one_line(models: Command, words: list[str], expected: str) -> None:
    code, _, told = models(*words)
    assert (code, told.count("\n")) == (2, 1)
    assert expected in told


def test_own_verbs_leave_nothing_that_differs(home: Home, client: MlflowClient, models: Command) -> None:
    lit, run_id = home.releases / "lit", str(client.get_model_version("lit", "2").run_id)
    assert "lit@2 came of it" in models("delete", "--run", run_id, "--yes")[2]
    assert models("delete", "lit@2", "--yes", "--reason", "too large") == (0, "lit@2 was deleted\n", "")
    assert "it is at work" in models("delete", "--run", run_id, "--yes")[2]
    client.set_terminated(run_id)
    assert models("delete", "--run", run_id, "--yes")[0] == 0
    assert (discrepancies(home), (lit / "2").exists()) == ([], False)
    entry = read_ledger(lit).entries[-1]
    assert entry is not None
    assert (entry["action"], entry["version"], entry["why"]) == ("delete", FOOLED, "too large")
    assert models("withdraw", "lit@champion")[1] == "champion of lit: version 1 -> none, withdrawn by hand\n"
    assert not (lit / "champion.alias").exists()
    assert models("rollback", "lit")[0] == 0, "what was withdrawn can come back"
    models("withdraw", "lit@champion")
    assert models("delete", "lit", "--yes")[0] == 0
    assert (models("history", "lit", "--verify")[0], discrepancies(home)) == (0, [])
    assert a_version(home, "new", fooled=True, validation=0.9, digest=DATA).number > FOOLED


def test_a_model_of_others_is_shown(home: Home, client: MlflowClient, models: Command) -> None:
    client.create_registered_model("it's another's")
    client.create_model_version("it's another's", "nowhere")
    code, rows, told = models("list", "--json")
    assert (code, told) == (0, "")
    assert [row["name"] for row in json.loads(rows)] == ["it's another's", "lit", "lit"]
    assert discrepancies(home) == []


def test_without_the_tag_a_renamed_model_is_made_anew(home: Home, client: MlflowClient) -> None:
    client.rename_registered_model("lit", "dark")
    client.delete_registered_model_tag("dark", HEAD_TAG)
    assert ["deleted in MLflow" in str(each) for each in discrepancies(home)] == [True]
