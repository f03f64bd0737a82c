"""A search on real trainings: what falls behind is given up, what was interrupted is tried again."""

from __future__ import annotations

import json
import re
from pathlib import Path

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import TrialState, create_trial
from safetensors.torch import save_file

from modelyard.home import Home
from modelyard.models.rnn import RnnConfig
from modelyard.samples import ImageForm
from modelyard.seals import STEP_FILE, seal
from modelyard.steps.brought import Brought
from modelyard.steps.nodes import how_of, train_node
from modelyard.steps.preparation import prepare
from modelyard.steps.requests import BuildRequest
from modelyard.steps.run import run_step
from modelyard.sweeps.request import Range, SweepRequest
from modelyard.sweeps.search import num_missing, open_study, put_back_interrupted
from modelyard.sweeps.summary import TrialResult
from modelyard.sweeps.trial import search_one, train_one
from modelyard.tracking.store import open_store
from modelyard.training.fitted import RESULT_FILE

KEY = "training.optimizer.learning_rate"
SMALL = ("training.epochs=3", "training.min_steps=0", "training.max_train_images=300")


def request(*choices: str) -> SweepRequest:
    return SweepRequest(
        name="search", dataset="digits", architectures=("rnn",), assignments=SMALL, seeds=(0, 1),
        ranges=(Range(key=KEY, choices=choices),), trials=5,
    )  # fmt: skip


@pytest.fixture
def home(store: Path) -> Home:
    (store / "runs" / "sweeps" / "search").mkdir(parents=True)
    return Home.current()


def build(home: Home, asked: SweepRequest) -> BuildRequest:
    recipe = asked.recipes()["rnn"]
    return BuildRequest(
        recipe=recipe, label="rnn", seed=0, in_process=True, cores=1, **prepare("digits", home, recipe.data)
    )


def add_good_trials(study: optuna.Study, *choices: str) -> None:
    for choice in choices:
        curve = dict.fromkeys((1, 2, 3), 0.9)
        known: dict[str, BaseDistribution] = {KEY: CategoricalDistribution(choices)}
        study.add_trial(
            create_trial(value=0.9, params={KEY: choice}, distributions=known, intermediate_values=curve)
        )


def test_a_trial_below_the_median_is_given_up_and_recorded_so(home: Home) -> None:
    asked = request("1e-9", "1e-8")
    study = open_study(home.sweeps / "search", "rnn", 0)
    add_good_trials(study, "1e-9", "1e-8")
    (result,) = search_one(build(home, asked), asked, 0)
    assert (result.state, result.seed) == ("pruned", 0)
    assert study.get_trials()[-1].state == TrialState.PRUNED
    client, _ = open_store(home)
    run = client.get_run(result.run_id)
    assert run.info.status == "KILLED"
    assert "below the median" in run.data.tags["mlflow.note.content"]
    assert len(client.get_metric_history(result.run_id, "train/loss")) == 1


def test_a_good_trial_trains_every_seed_and_counts(home: Home) -> None:
    asked = request("8e-3", "9e-3")
    results = search_one(build(home, asked), asked, 0)
    assert [(result.state, result.seed) for result in results] == [("finished", 0), ("finished", 1)]
    study = open_study(home.sweeps / "search", "rnn", 0)
    mean = sum(result.validation_accuracy for result in results) / 2
    assert study.best_value == pytest.approx(mean)
    assert num_missing(study, asked) == 4


def test_weights_are_brought_for_the_options_that_are_tried(home: Home, tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    save_file(RnnConfig(layers=2).build(ImageForm(1, 28, 28), 10).state_dict(), weights)
    asked = request().model_copy(
        update={
            "assignments": (*SMALL, "model.layers=2", "model.mean=none", f"init={weights}"),
            "seeds": (0,),
        }
    )

    def tried(key: str, choice: str) -> TrialResult:
        search = asked.model_copy(update={"name": choice, "ranges": (Range(key=key, choices=(choice,)),)})
        (home.sweeps / choice).mkdir()
        (result,) = search_one(former, search, 0)
        return result

    former = build(home, asked)
    former = former.model_copy(
        update={"brought": Brought(home).of(former.recipe, home.steps / former.data_step)}
    )
    before = {folder.name for folder in home.steps.glob("weights-*")}
    assert tried("model.layers", "1").state == "finished"
    assert len({folder.name for folder in home.steps.glob("weights-*")} - before) == 1
    refused = tried("model.hidden", "64")
    assert refused.state == "failed"
    assert re.search(r"^init: weights.safetensors: .*expected .* other options of the network", refused.why)


def test_a_trial_tells_of_the_epoch_whose_weights_are_kept(home: Home) -> None:
    asked = request("8e-3", "9e-3")
    wanted = build(home, asked)
    folder = run_step(train_node(wanted), how_of(wanted, home))
    record = json.loads((folder / RESULT_FILE).read_text())
    lucky = record["history"][record["best_epoch"] % len(record["history"])]
    lucky |= {"validation_accuracy": 1.0, "validation_loss": 0.0}
    (folder / RESULT_FILE).write_text(json.dumps(record))
    seal(folder, json.loads((folder / STEP_FILE).read_text()))
    result = train_one(wanted, asked.name, (), lambda epoch: None)
    kept = record["history"][record["best_epoch"] - 1]
    assert (result.validation_accuracy, result.validation_loss) == (
        kept["validation_accuracy"],
        kept["validation_loss"],
    )


def test_an_interrupted_trial_is_tried_again_with_its_values(home: Home) -> None:
    study = open_study(home.sweeps / "search", "rnn", 0)
    interrupted = study.ask({KEY: CategoricalDistribution(("8e-3", "9e-3"))})
    again = open_study(home.sweeps / "search", "rnn", 0)
    put_back_interrupted(again)
    assert again.get_trials(states=[TrialState.RUNNING]) == []
    assert again.ask({KEY: CategoricalDistribution(("8e-3", "9e-3"))}).params == interrupted.params
