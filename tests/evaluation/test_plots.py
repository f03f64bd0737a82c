"""Pictures of few and of many: drawn without a warning, and readable by their size and number of names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from modelyard.data.datasets import Split, make_dataset
from modelyard.evaluation import plots
from modelyard.evaluation.plots import Answers, draw_report
from tests.data.texts import text_dataset


def answers(classes: int, images: int, name: str = "class {}", *, right: bool = False) -> Answers:
    labels_N = np.arange(images) % classes
    split = Split(np.zeros((images, 1, 4, 4), np.uint8), labels_N)
    dataset = make_dataset("x", split, split, tuple(name.format(label) for label in range(classes)))
    given_NK = np.eye(classes)[labels_N if right else (labels_N * 7 + 1) % classes]
    return Answers(dataset, given_NK, given_NK)


@pytest.mark.parametrize(("classes", "images", "right"), [(2, 1, True), (2, 2, False), (40, 40, True)])
def test_a_report_of_few_images_is_drawn(classes: int, images: int, right: bool, tmp_path: Path) -> None:
    """A loss of few images may end at 0, which has no logarithm."""
    history = [{"epoch": 1, "train_loss": 0.0, "validation_loss": 0.0, "validation_accuracy": 1.0}]
    draw_report(tmp_path, answers(classes, images, right=right), history)
    assert {path.name for path in tmp_path.iterdir()} == {
        "confusion.png",
        "mistakes.png",
        "reliability.png",
        "curves.png",
    }


@pytest.mark.parametrize(
    ("classes", "named", "panels"), [(2, 2, 1), (20, 20, 1), (30, 30, 1), (31, 20, 2), (250, 20, 2)]
)
def test_of_many_classes_those_with_the_most_mistakes_are_named(
    classes: int, named: int, panels: int
) -> None:
    long = answers(classes, classes * 2, "species_{:03}_with_a_rather_long_latin_name")
    figure = plots._confusion(long.dataset, long.probabilities_NK)
    assert len(figure.axes) == panels
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(names) == len(set(names)) == named
    assert max(map(len, names)) <= 24
    if panels == 2:
        assert len(figure.axes[1].get_yticklabels()) < 20, "numbers, not names"


def test_the_named_classes_are_the_confused_ones() -> None:
    found = answers(100, 400, right=True)
    found.probabilities_NK[[57, 157, 61]] = np.eye(100)[[3, 3, 57]]
    figure = plots._confusion(found.dataset, found.probabilities_NK)
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert {"class 57", "class 3", "class 61"} <= set(names)
    assert figure.axes[1].get_title() == "3 mistakes in 400 test images"


def test_wrongly_answered_texts_are_on_a_page_the_most_confident_first(tmp_path: Path) -> None:
    texts = [("<b>not bold</b>", 0), ("x" * 900, 1), ("right", 1), ("sure and wrong", 0)]
    dataset = text_dataset(texts, texts, ("bad", "good"), longest=1000)
    probabilities_NK = np.array([[0.4, 0.6], [0.7, 0.3], [0.1, 0.9], [0.01, 0.99]])
    draw_report(tmp_path, Answers(dataset, probabilities_NK, probabilities_NK), [])
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"confusion.png", "mistakes.html", "reliability.png"}, "what had no epochs has no curves"
    page = (tmp_path / "mistakes.html").read_text()
    assert "3 of 4 test texts are answered wrongly" in page
    places = [page.index(part) for part in ("sure and wrong", "xxx", "&lt;b&gt;not bold&lt;/b&gt;")]
    assert places == sorted(places)
    assert "99.0%" in page and "right" not in page.partition("<tbody>")[2] and "x" * 501 not in page
    title = plots._confusion(dataset, probabilities_NK).axes[0].get_title()
    assert title == "3 mistakes in 4 test texts"
