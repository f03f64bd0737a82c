"""Laws of data, models, training, metrics and export, on small real data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from modelyard.bundle import open_bundle
from modelyard.data.datasets import Dataset
from modelyard.data.sources import load_dataset
from modelyard.data.splits import DataConfig, Splits, make_splits
from modelyard.errors import BundleError, ConfigError, DataError, DeviceError, ParityError, TrainingError
from modelyard.evaluation.calibration import fit_temperature, softmax
from modelyard.evaluation.metrics import expected_calibration_error, score
from modelyard.evaluation.significance import mcnemar_p_value
from modelyard.export.onnx import DeployedModel
from modelyard.export.parity import check_parity
from modelyard.home import Home
from modelyard.recipes import ARCHITECTURES, make_recipe
from modelyard.requests import BuildRequest
from modelyard.steps import evaluate, export, prepare, run_training
from modelyard.training.loop import EpochReport, TrainingConfig, train
from modelyard.training.precision import resolve_device

CPU = torch.device("cpu")
ALL = (*ARCHITECTURES, "lenet", "lstm", "vit")


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODELYARD_CACHE", str(tmp_path_factory.mktemp("cache")))
        return load_dataset("digits")


@pytest.fixture
def splits(digits: Dataset) -> Splits:
    return make_splits(Dataset(digits.name, digits.train.take(np.arange(200)), digits.test, digits.classes, ""), DataConfig())


def few_epochs(architecture: str, epochs: int = 3) -> TrainingConfig:
    changes = [f"epochs={epochs}", "min_steps=0", "batch_size=64", "precision=fp32"]
    return make_recipe(architecture, "smoke").training.override(changes)


@pytest.mark.parametrize("architecture", ALL)
def test_logits_have_distinct_dims(architecture: str) -> None:
    model = make_recipe(architecture, "smoke").model.build((3, 22, 26), 7)
    assert model(torch.rand(5, 3, 22, 26)).shape == (5, 7)


@pytest.mark.parametrize("architecture", ALL)
def test_every_parameter_moves(architecture: str, splits: Splits) -> None:
    torch.manual_seed(0)
    model = make_recipe(architecture, "smoke").model.build((1, 28, 28), 10)
    before = {name: value.clone() for name, value in model.named_parameters()}
    train(model, splits, few_epochs(architecture, 1), seed=0, device=CPU)
    assert [name for name, value in model.named_parameters() if torch.equal(value, before[name])] == []


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_resume_equals_no_interruption_bit_for_bit(architecture: str, splits: Splits, tmp_path: Path) -> None:
    def run(checkpoint: Path, stop_after: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(3)
        model = make_recipe(architecture, "smoke").model.build((1, 28, 28), 10)

        def stop(report: EpochReport) -> None:
            if report.epoch == stop_after:
                raise KeyboardInterrupt

        result = train(model, splits, few_epochs(architecture), seed=3, device=CPU, checkpoint=checkpoint, on_epoch=stop)
        return result.model.state_dict()

    whole = run(tmp_path / "whole", 99)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", 1)
    resumed = run(tmp_path / "cut", 99)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_non_finite_loss_stops_with_a_remedy(splits: Splits, tmp_path: Path) -> None:
    model = make_recipe("cnn", "smoke").model.build((1, 28, 28), 10)
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"not finite.*lower training\.optimizer\.learning_rate"):
        train(model, splits, few_epochs("cnn"), seed=0, device=CPU, checkpoint=tmp_path / "c")


def test_scores_of_known_answers() -> None:
    probabilities_NK = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    labels_N = np.array([0, 1, 1, 1])
    scores = score(probabilities_NK, labels_N)
    assert scores.accuracy == 0.75
    assert scores.nll == pytest.approx(-np.log([0.9, 0.8, 0.4, 0.7]).mean())
    assert scores.accuracy_low < 0.75 < scores.accuracy_high
    assert expected_calibration_error(probabilities_NK, labels_N) == pytest.approx((0.1 + 0.2 + 0.6 + 0.3) / 4)


def test_temperature_recovers_the_scale_of_the_logits() -> None:
    generator = np.random.default_rng(0)
    logits_NK = generator.normal(size=(20_000, 5)).astype(np.float32)
    labels_N = np.array([generator.choice(5, p=row) for row in softmax(logits_NK)])
    assert fit_temperature(logits_NK * 3, labels_N) == pytest.approx(3, rel=0.1)


def test_mcnemar_counts_only_disagreements() -> None:
    candidate_N, current_N = np.ones(20, bool), np.ones(20, bool)
    assert mcnemar_p_value(candidate_N, current_N) == 1
    current_N[:10] = False
    assert mcnemar_p_value(candidate_N, current_N) == pytest.approx(2 / 2**10)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("store"))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_steps_end_in_a_bundle_with_parity(
    architecture: str, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELYARD_CACHE", str(tmp_path))
    recipe = make_recipe(architecture, "smoke").override(["training.epochs=1", "training.min_steps=0"])
    request = BuildRequest(recipe=recipe, label=architecture, seed=0, in_process=True, **prepare("digits", home))
    run_training(request, home, lambda report: None)
    evaluate(request, home)
    bundle = export(request, home)
    manifest = open_bundle(bundle)
    assert manifest.metrics["onnx/max_difference"] < 1e-4
    assert manifest.image_shape == (28, 28, 1)
    torch.manual_seed(5)
    other = DeployedModel(recipe.model.build((1, 28, 28), 10), 1.0).eval()
    with pytest.raises(ParityError, match=r"disagree on \d+ of 128 labels.*nothing was registered"):
        check_parity(bundle, other, load_dataset("digits").test)
    altered = bundle / "golden.npz"
    content = altered.read_bytes()
    altered.write_bytes(content[:-1] + b"?")
    with pytest.raises(BundleError, match=r"golden\.npz does not match the manifest"):
        open_bundle(bundle)
    altered.write_bytes(content)


def test_unknown_names_are_told_the_legal_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown architecture 'cnm': expected one of cnn, rnn"):
        make_recipe("cnm", "smoke")
    with pytest.raises(ConfigError, match=r"did you mean training\.epochs\?"):
        make_recipe("cnn", "smoke").override(["training.epoch=3"])
    with pytest.raises(ConfigError, match=r"training\.epochs: Input should be greater"):
        make_recipe("cnn", "smoke").override(["training.epochs=0"])
    with pytest.raises(DataError, match="unknown data set 'mnits': expected auto, digits"):
        load_dataset("mnits")
    with pytest.raises(DeviceError, match="expects auto, cpu or cuda, received 'gpu'"):
        resolve_device("gpu")
