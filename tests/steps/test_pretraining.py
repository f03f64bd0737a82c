"""One pre-training serves all trainings that ask for the same, which start from its weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from modelyard.data.packed import open_packed
from modelyard.errors import ConfigError
from modelyard.home import Home
from modelyard.recipes.named import make_recipe
from modelyard.sources.peek import describe
from modelyard.steps.nodes import PRETRAIN, how_of, nodes, train_node, training_job
from modelyard.steps.preparation import check_model, prepare
from modelyard.steps.requests import BuildRequest
from modelyard.steps.run import run_step
from modelyard.steps.step import Node
from modelyard.training.fitted import WEIGHTS_FILE, Build, read_history
from modelyard.training.start import start

SHORT = ("training.epochs=1", "training.min_steps=0", "training.max_train_images=300", "pretrain.epochs=2")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("store"))


def asked(home: Home, *changes: str, method: str = "masked") -> BuildRequest:
    first = [f"pretrain.method={method}", *SHORT]
    recipe = make_recipe("cnn", "smoke", describe("digits")).override(first)
    return BuildRequest(
        recipe=recipe.override(list(changes)), label="cnn", seed=0, in_process=True, device="cpu",
        **prepare("digits", home),
    )  # fmt: skip


def pretraining(request: BuildRequest) -> Node:
    return next(node for node in nodes(request) if node.step is PRETRAIN)


def test_a_training_starts_from_what_was_learnt_before(home: Home, tmp_path: Path) -> None:
    request = asked(home, "data.labels=40")
    folder = run_step(pretraining(request), how_of(request, home))
    learnt = load_file(folder / WEIGHTS_FILE)
    assert [report.epoch for report in read_history(folder)] == [1, 2]
    dataset = open_packed(home.steps / request.data_step)
    torch.manual_seed(0)
    network = Build.of(request.recipe.model, dataset.train, dataset.classes).network()
    assert not torch.equal(network.state_dict()["stem.0.weight"], learnt["stem.0.weight"])
    start(network, training_job(request, home, tmp_path / "checkpoint"))
    assert all(torch.equal(value, learnt[name]) for name, value in network.state_dict().items())
    run_step(train_node(request), how_of(request, home))


@pytest.mark.parametrize("change", ["data.labels=40", "data.labels_seed=3", "training.epochs=2"])
def test_trainings_share_what_does_not_depend_on_them(change: str, home: Home) -> None:
    first, second = asked(home), asked(home, change)
    assert pretraining(first).key == pretraining(second).key
    assert train_node(first).key != train_node(second).key


@pytest.mark.parametrize(
    ("method", "change"),
    [("masked", "pretrain.epochs=3"), ("rotation", "training.epochs=1"), ("masked", "model.width=8")],
)
def test_another_pre_training_is_another_step(method: str, change: str, home: Home) -> None:
    first, second = asked(home), asked(home, change, method=method)
    assert pretraining(first).key != pretraining(second).key
    assert train_node(first).key != train_node(second).key


def test_a_way_that_the_data_do_not_allow_is_told_before_a_training(home: Home) -> None:
    with pytest.raises(ConfigError, match=r"^pretrain.method=causal: expected samples of kind text, rec"):
        check_model(asked(home, method="causal"), home)
    check_model(asked(home), home)
