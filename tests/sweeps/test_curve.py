"""The curve of labels: what is asked, what more of them would bring, and that it goes on where it ended."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from modelyard.errors import ConfigError
from modelyard.home import Home
from modelyard.models import LinearConfig
from modelyard.sweeps.curve import (
    BROUGHT,
    SCRATCH,
    UNLABELLED,
    CurveRequest,
    Point,
    curve_rows,
    default_points,
    outlook,
    parse_points,
)
from modelyard.sweeps.curve_plot import draw_curve
from modelyard.sweeps.summary import TrialResult


def request(**changes: object) -> CurveRequest:
    return CurveRequest.model_validate({"name": "mine", "dataset": "digits"} | changes)


def results(errors: dict[tuple[str, int], float], draws: int = 3) -> dict[Point, TrialResult]:
    """Test errors in percent, the same in all draws but for 0.1 points."""
    return {
        Point(way, labels, draw): TrialResult(way, draw, test_accuracy=1 - error / 100 - (draw - 1) / 1000)
        for (way, labels), error in errors.items()
        for draw in range(draws)
    }


def test_points_are_a_label_a_class_ten_times_as_many_and_all() -> None:
    assert default_points(10, 1294) == (10, 100, 0)
    assert default_points(6, 5000) == (6, 60, 600, 0)
    assert parse_points("all, 100,20,100") == (20, 100, 0)


@pytest.mark.parametrize("text", ["-5", "20,,30", "many", "1.5"])
def test_other_points_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--points expects"):
        parse_points(text)


def test_a_way_that_the_data_or_what_is_given_do_not_allow_is_refused() -> None:
    assert request().all_ways() == (SCRATCH, UNLABELLED, "pre-trained")
    assert BROUGHT in request(init="digits@champion").all_ways()
    assert request(dataset="docstrings").all_ways()[-1] == "linear"
    for way in (BROUGHT, "linear", "luck"):
        with pytest.raises(ConfigError, match=f"--ways {way}.*expected some of scratch"):
            request(ways=[way]).all_ways()


def test_each_way_is_its_own_recipe_with_the_labels_of_the_draw(tmp_path: Path) -> None:
    weights = tmp_path / "some.safetensors"
    save_file({"head.weight": torch.zeros(6, 4)}, weights)
    asked = request(dataset="docstrings", init=str(weights), points=[18, 0])
    recipes = {point: asked.recipe(point) for point in asked.grid(asked.points)}
    assert all((recipe.data.labels, recipe.data.labels_seed) == ((18, point.draw) if point.labels else (0, 0))
               for point, recipe in recipes.items())  # fmt: skip
    assert recipes[Point("pre-trained", 18, 0)].pretrain is not None
    assert recipes[Point(UNLABELLED, 18, 0)].training.unlabelled is not None
    assert recipes[Point(BROUGHT, 18, 0)].init == str(weights)
    assert isinstance(recipes[Point("linear", 0, 1)].model, LinearConfig)
    assert Point(UNLABELLED, 0, 0) not in recipes  # nothing is left out
    assert Point(UNLABELLED, 0, 0) in request(unlabelled="more").grid((0,))


def test_the_outlook_follows_a_power_of_the_labels() -> None:
    """Errors that fall as the square root of the labels: four times as many halve them."""
    rows = curve_rows(results({(SCRATCH, 100): 8.0, (SCRATCH, 400): 4.0, (SCRATCH, 0): 2.0}), 1600)
    assert [row["labels"] for row in rows] == [100, 400, 1600]
    told = outlook(rows)
    assert "scratch is the best with 1,600 labels: 98.00 %" in told
    assert "1,600 more would bring about 98.59 % (each doubling took 29 % of the errors away" in told


def test_the_best_way_with_most_labels_is_told_of_and_no_gain_is_no_gain() -> None:
    found = results(
        {(SCRATCH, 10): 50.0, (UNLABELLED, 10): 4.0, (SCRATCH, 100): 30.0, (UNLABELLED, 100): 4.0}
    )
    assert "unlabelled is the best with 100 labels" in (told := outlook(curve_rows(found, 1000)))
    assert "more labels brought nothing from 10 to 100 labels" in told
    assert "a second point" in outlook(curve_rows(results({(SCRATCH, 10): 50.0}), 100))
    failed = {point: TrialResult(SCRATCH, 0, state="failed") for point in found}
    assert curve_rows(failed, 1000) == []


def test_a_name_means_one_curve(store: Path) -> None:
    home = Home.current()
    request().claim(home)
    request().claim(home)
    with pytest.raises(ConfigError, match="exists with other options"):
        request(draws=5).claim(home)
    with pytest.raises(ConfigError, match="--name"):
        request(name="../up").claim(home)


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    rows = curve_rows(results({(SCRATCH, 10): 50.0, (UNLABELLED, 10): 4.0, (SCRATCH, 0): 0.0}), 1000)
    draw_curve(rows, tmp_path / "curve.png", "digits, cnn")
    with Image.open(tmp_path / "curve.png") as picture:
        assert picture.size == (825, 528)
