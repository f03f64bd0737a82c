"""A student learns what its teacher answers, about the very sample that it sees. B rows, K classes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from modelyard.bundle import read_bundle
from modelyard.config import change
from modelyard.data.batches import Batch
from modelyard.data.datasets import Dataset
from modelyard.data.packed import pack
from modelyard.data.splits import DataConfig, make_splits
from modelyard.errors import ConfigError
from modelyard.files import sha256_of_json
from modelyard.home import Home
from modelyard.recipes.recipe import Recipe
from modelyard.samples import ImageForm
from modelyard.steps.brought_teacher import bring_teacher
from modelyard.steps.nodes import evaluate_node, export_node, how_of, nodes, train_node
from modelyard.steps.run import run_step
from modelyard.training.answers import ANSWERS_FILE, with_answers
from modelyard.training.fitted import read_history
from modelyard.training.objectives.classification import Classification
from modelyard.training.objectives.distilled import ANSWERS, Distilled
from tests.trained import Trained, builds

BASE = Classification(DataConfig.model_construct())  # type: ignore[arg-type]  # no view is asked for


def batch_of(teacher_BK: torch.Tensor, labels_B: torch.Tensor) -> Batch:
    return Batch(torch.arange(len(labels_B)), (), labels_B, {ANSWERS: teacher_BK})


def test_the_loss_is_hintons() -> None:
    draw = torch.Generator().manual_seed(0)
    student_BK, teacher_BK = (torch.randn(6, 4, generator=draw) * 3 for _ in range(2))
    labels_B = torch.arange(6) % 4
    found_B = Distilled(BASE, 3.0, 0.7).losses(student_BK, batch_of(teacher_BK, labels_B))
    target_BK = (teacher_BK / 3).softmax(1)
    soft_B = 9 * (target_BK * (target_BK.log() - (student_BK / 3).log_softmax(1))).sum(1)
    expected_B = 0.3 * functional.cross_entropy(student_BK, labels_B, reduction="none") + 0.7 * soft_B
    torch.testing.assert_close(found_B, expected_B)


@pytest.mark.parametrize("temperature", [1.0, 8.0])
def test_who_answers_as_the_teacher_does_loses_nothing(temperature: float) -> None:
    logits_BK = torch.tensor([[2.0, -1.0], [0.0, 3.0]])
    losses_B = Distilled(BASE, temperature, 1.0).losses(logits_BK, batch_of(logits_BK, torch.tensor([0, 1])))
    torch.testing.assert_close(losses_B, torch.zeros(2))


def test_answers_stay_with_their_rows_whatever_is_held_out(digits: Dataset, tmp_path: Path) -> None:
    """haitongli/knowledge-distillation-pytorch PR 16: answers kept in another order than the batches."""
    answers_MK = digits.train.in_memory.reshape(len(digits.train), -1)[:, :10].astype(np.float32)
    np.savez(tmp_path / ANSWERS_FILE, train=answers_MK)
    for config in (DataConfig(), DataConfig(labels=50, labels_seed=3), DataConfig(split_seed=7)):
        train = with_answers(make_splits(digits, config), tmp_path).train.take(np.arange(49, -1, -7))
        expected_NK = train.in_memory.reshape(len(train), -1)[:, :10]
        np.testing.assert_array_equal(train.columns[ANSWERS], expected_NK)


def test_a_bundle_teaches_and_its_agreement_is_told(store: Path, trained: Trained) -> None:
    home = Home.current()
    trained.steps(home, "cnn")
    (teacher,), (alone,) = builds(home, "cnn"), builds(home, "rnn")
    bundle = export_node(teacher).folder(home)
    recipe = Recipe.model_validate(alone.recipe.model_dump() | {"distil": {"teacher": str(bundle)}})
    digest = bring_teacher(recipe, home.steps / alone.data_step, home)
    request = alone.model_copy(update={"recipe": recipe, "brought": {"teacher": digest}})
    assert train_node(request).key != train_node(alone).key
    for node in nodes(request)[:-1]:
        if node.step.body:
            run_step(node, how_of(request, home))
    assert len(read_history(train_node(request).folder(home))) == 2
    evaluation = (evaluate_node(request).folder(home) / "evaluation.json").read_text()
    assert '"test/teacher_agreement"' in evaluation
    other = change(recipe, distil=change(recipe.distil, teacher=(str(bundle), str(bundle))))  # type: ignore[type-var]
    assert bring_teacher(other, home.steps / alone.data_step, home) == digest  # the same one, named twice


def test_a_teacher_of_other_classes_or_samples_is_refused(
    store: Path, digits: Dataset, trained: Trained
) -> None:
    home = Home.current()
    trained.steps(home, "cnn")
    (teacher,) = builds(home, "cnn")
    bundle = export_node(teacher).folder(home)
    recipe = change(teacher.recipe, distil={"teacher": str(bundle)})
    renamed = replace(digits, classes=tuple("abcdefghij"), folder=None, digest=sha256_of_json("a"))
    wider = renamed.train.samples.repeat(2, axis=3)
    larger = replace(
        digits, train=replace(digits.train, samples=wider), test=replace(digits.test, samples=wider[:359]),
        folder=None, digest=sha256_of_json("b"),
    )  # fmt: skip
    assert read_bundle(bundle).manifest.classes == digits.classes
    for dataset, why in ((renamed, "classes"), (larger, ImageForm(1, 28, 56).extent)):
        folder = pack(dataset, home.steps / f"data-{dataset.digest[:16]}").folder
        assert folder is not None
        with pytest.raises(ConfigError, match=why):
            bring_teacher(recipe, folder, home)
