"""The real command on a real store: killed and gone on with, its training killed; predict."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from modelyard.bundle import open_bundle
from modelyard.home import Home
from modelyard.inference.files import predict_files, released_folder
from modelyard.promotion.manual import promote_version, rollback
from modelyard.promotion.repairs import settle_all
from modelyard.registry import history
from modelyard.registry.standing import discrepancies
from modelyard.registry.versions import versions
from modelyard.releases.folders import read_release
from modelyard.sources.sources import load_dataset
from modelyard.tracking.reconcile import NOTE, reconcile
from modelyard.tracking.store import open_store
from tests.blank import Templates
from tests.flows.command import RUN, environment_below, run_here, started_until, words_of
from tests.trained import Trained

TRAINING = "modelyard.steps.train"


@pytest.fixture(scope="module")
def environment(
    tmp_path_factory: pytest.TempPathFactory, shared_cache: Path, templates: Templates, trained: Trained
) -> dict[str, str]:
    """Of a store where the first of three trainings is done, and nothing is recorded."""
    folder = tmp_path_factory.mktemp("store")
    trained.steps(templates.store(folder / "runs", prefect=True), "cnn")
    return environment_below(folder, shared_cache)


@pytest.fixture(scope="module")
def home(environment: dict[str, str]) -> Home:
    return Home(Path(environment["MODELYARD_HOME"]))


@pytest.fixture(scope="module")
def killed(environment: dict[str, str], home: Home) -> dict[str, Any]:
    """What is left of a run that was killed in the second of three trainings; what reconciling says and makes
    of it.
    """
    process, family, _ = started_until(RUN, environment, "rnn  epoch 1/2")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    orphans = psutil.wait_procs(family, timeout=10)[1]
    checkpoints = list(home.checkpoints.glob("*.safetensors"))
    (scratch,) = home.steps.glob(".*")
    os.utime(scratch, (0, 0))
    told = reconcile(home)
    client, experiment = open_store(home)
    (run,) = client.search_runs([experiment], "attributes.status = 'KILLED'")
    return {
        "orphans": orphans, "checkpoints": checkpoints, "scratch": scratch, "run": run,
        "told": told, "told again": reconcile(home),
    }  # fmt: skip


@pytest.fixture(scope="module")
def finished(killed: dict[str, Any], environment: dict[str, str]) -> dict[str, Any]:
    """The same command again, to its end, though its third training is killed once."""
    assert killed["checkpoints"]
    process, _, said = started_until(RUN, environment, "transformer  epoch 1/2")
    _kill_training(process)
    result, rest = process.communicate()
    assert process.returncode == 0, said + rest
    return {"stderr": said + rest, "result": json.loads(result)}


def _kill_training(run: subprocess.Popen[str]) -> None:
    """SIGKILL for the training alone, as the kernel does when memory runs out."""
    (training,) = [child for child in psutil.Process(run.pid).children() if TRAINING in words_of(child)]
    training.kill()


@pytest.mark.fault("a run is killed in the second of three trainings", how="SIGKILL of `modelyard run`")
def test_after_a_kill_the_first_is_not_repeated_and_the_second_goes_on(
    killed: dict[str, Any], finished: dict[str, Any]
) -> None:
    assert killed["orphans"] == []
    assert len(killed["checkpoints"]) == 1
    assert "cnn  training: done before, skipped" in finished["stderr"]
    assert "cnn  registration: done before, skipped" in finished["stderr"]
    assert "rnn  epoch 1/2" not in finished["stderr"]
    assert "rnn  epoch 2/2" in finished["stderr"]


def test_reconciling_marks_the_killed_run_and_removes_its_scratch_folder(killed: dict[str, Any]) -> None:
    run, scratch = killed["run"], killed["scratch"]
    assert killed["told"] == [
        f"marked digits-rnn-0 as killed: {NOTE}",
        f"removed {scratch}: its writer is gone",
    ]
    assert killed["told again"] == []
    assert run.data.tags["mlflow.note.content"] == NOTE
    assert run.info.start_time <= run.info.end_time < time.time() * 1000
    assert not scratch.exists()


def test_all_that_a_run_leaves_is_its_owners_alone(finished: dict[str, Any], home: Home) -> None:
    """L14, whatever Prefect, MLflow and torch write. Data are links to the cache's files, which others may
    have made.
    """
    assert finished
    found = [(path, path.stat()) for path in (home.root, *home.root.rglob("*"))]
    assert [
        path for path, facts in found if facts.st_mode & 0o077 and (path.is_dir() or facts.st_nlink == 1)
    ] == []


@pytest.mark.fault("a training is killed under its run", how="SIGKILL of the training alone")
def test_a_killed_training_is_started_again_and_goes_on(
    killed: dict[str, Any], finished: dict[str, Any], home: Home
) -> None:
    assert finished["stderr"].count("transformer  training ...") == 2
    assert finished["stderr"].count("transformer  epoch 1/2") == 1
    assert "transformer  epoch 2/2" in finished["stderr"]
    client, _ = open_store(home)
    assert client.get_run(killed["run"].info.run_id).info.status == "FINISHED"


def test_every_architecture_is_recorded_registered_and_released(finished: dict[str, Any], home: Home) -> None:
    board = {row["architecture"]: row for row in finished["result"]["board"]}
    assert set(board) == {"cnn", "rnn", "transformer"}
    aliases = {alias for version in versions(home, "digits") for alias in version.aliases}
    assert aliases == {"champion", "cnn", "rnn", "transformer"}
    client, experiment = open_store(home)
    runs = client.search_runs([experiment])
    assert [run.info.status for run in runs] == ["FINISHED"] * 3
    for run in runs:
        assert len(client.get_metric_history(run.info.run_id, "train/loss")) == 2
        row = board[run.data.tags["label"]]
        assert round(100 * run.data.metrics["test/accuracy"], 2) == row["test %"]
        assert (
            open_bundle(home.releases / "digits" / str(row["version"])).architecture
            == run.data.tags["architecture"]
        )
    ledger = [
        json.loads(line) for line in (home.releases / "digits" / "ledger.jsonl").read_text().splitlines()
    ]
    assert ledger[-1]["alias"] == "champion"
    assert all("hash" in entry for entry in ledger)
    judged = {judgement["version"]: judgement for judgement in finished["result"]["gates"]}
    assert judged[ledger[-1]["to"]]["passed"]
    assert {verdict["name"] for verdict in judged[ledger[-1]["to"]]["verdicts"]} >= {
        "parity",
        "accuracy",
        "per class",
        "size",
    }


@pytest.mark.usefixtures("finished")
def test_the_release_answers_for_an_image_file(
    environment: dict[str, str], home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELYARD_CACHE", environment["MODELYARD_CACHE"])
    digits = load_dataset("digits")
    files = [tmp_path / f"{row}.png" for row in range(40)]
    for row, file in enumerate(files):
        Image.fromarray(digits.train.gather(slice(row, row + 1))[0, 0]).save(file)
    answers = [row["label"] for row in predict_files(home, "digits@champion", files)]
    hits = sum(
        answer == str(label) for answer, label in zip(answers, digits.train.labels_N[:40], strict=True)
    )
    assert hits >= 20
    assert released_folder(home, "digits@1").name == "1"


def test_a_registry_that_people_edit_blocks_nothing_and_differs_aloud(
    finished: dict[str, Any], environment: dict[str, str], home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    """Story, and the last test of this store: the champion's version deleted, a run, repair, promotion,
    rollback, renamed.
    """
    board = {row["architecture"]: row["version"] for row in finished["result"]["board"]}
    (champion,) = [version for version in versions(home, "digits") if "champion" in version.aliases]
    label, other = champion.tags["label"], next(name for name in board if name != champion.tags["label"])
    client, _ = open_store(home)
    client.delete_model_version("digits", str(champion.number))
    client.delete_model_version("digits", str(board[other]))
    assert run_here(environment, *RUN[3:], "-a", label) == 0
    told = capsys.readouterr().err
    assert (
        f"NOTE: champion of digits: version {champion.number} is not in MLflow any more, "
        "version 4 is the same" in told
    )
    assert f"NOTE: {other} of digits: version {board[other]} is not in MLflow any more" in told
    assert client.get_registered_model("digits").aliases["champion"] == 4 == served(home)
    assert [each.done for each in settle_all(home) if each.failed] == []
    (last,) = set(board.values()) - {champion.number, board[other]}
    promote_version(home, f"digits@{last}", force=True)
    assert "-> 4, rolled back" in rollback(home, "digits")
    client.rename_registered_model("digits", "ciphers")
    (found,) = discrepancies(home)
    assert "named ciphers in MLflow" in str(found)
    assert (served(home), history.verify(home, "digits").problems) == (4, [str(found)])
    assert [each.done for each in settle_all(home)] == ["named back"]
    assert [version.number for version in versions(home, "digits")] == [last, 4]
    assert read_release(released_folder(home, "digits@champion")).is_recorded, "what a server loads"
    assert history.verify(home, "digits").problems == []


def served(home: Home) -> int:
    return int(released_folder(home, "digits@champion").name)
