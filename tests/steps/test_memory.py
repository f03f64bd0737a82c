"""A training that cannot fit is refused before it begins; one that surely fits costs nothing; a plan says
what each takes.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from modelyard.console import plan
from modelyard.console.plan import plan_rows
from modelyard.errors import DataError
from modelyard.home import Home
from modelyard.models.size import measure_size
from modelyard.recipes.named import ARCHITECTURES, make_recipe
from modelyard.recipes.request import compare_request
from modelyard.recipes.words import Words
from modelyard.samples import ImageForm
from modelyard.steps import memory
from modelyard.steps.memory import check_memory
from modelyard.steps.nodes import training_job
from modelyard.steps.preparation import prepare
from modelyard.steps.requests import BuildRequest
from modelyard.training.trial import Cost, measure
from tests.data.samples import image_folder


@pytest.fixture
def request_of_photos(store: Path) -> BuildRequest:
    root = image_folder(store / "photos", {"a": 60, "b": 60}, size=(60, 300))
    prepared = prepare(str(root), Home.current())
    return BuildRequest(recipe=make_recipe("cnn", "smoke"), label="cnn", seed=0, device="cpu", **prepared)


@pytest.mark.parametrize(
    ("free", "cost", "tried", "refused"),
    [
        (64e9, None, False, False),  # clear
        (1.5e9, 1e9, True, False),
        (1.5e9, 2e9, True, True),
        (0.5e9, None, True, True),  # not even the trial was possible
    ],
)
def test_only_what_is_not_clear_is_tried_and_what_does_not_fit_is_refused(
    free: float, cost: float | None, tried: bool, refused: bool,
    request_of_photos: BuildRequest, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    answers = [Cost(cost, 1.0, 0.0) if cost else None]
    asked: list[object] = []

    def measured(jobs: list[object]) -> list[Cost | None]:
        asked.extend(jobs)
        return answers

    monkeypatch.setattr(memory, "available_bytes", lambda: int(free))
    monkeypatch.setattr(memory, "measure", measured)
    if refused:
        with pytest.raises(
            DataError,
            match=r"cnn on images of 128 x 26 .*at most .* GB.*needs about .* GB; lower data.height",
        ):
            check_memory(request_of_photos, Home.current())
    else:
        check_memory(request_of_photos, Home.current())
    assert len(asked) == tried


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_a_step_saves_grows_with_the_image(architecture: str) -> None:
    config = make_recipe(architecture, "smoke").model
    small, large = (
        memory._saved_bytes(config.build(ImageForm(3, s, s), 2), ImageForm(3, s, s)) for s in (32, 128)
    )
    assert small < large < 20 * small + 1e6


def test_a_short_trial_tells_memory_and_seconds(request_of_photos: BuildRequest) -> None:
    job = training_job(request_of_photos, Home.current(), Path("none"))
    cost, fails = measure([job, job.model_copy(update={"data_folder": "/nowhere"})])
    assert cost is not None and 3e8 < cost.memory < 2e9 and 0 < cost.seconds < 600 and cost.evaluation > 0
    assert fails is None


def test_a_plan_says_what_each_training_takes(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = image_folder(store / "images", {"a": 6, "b": 6})
    monkeypatch.setattr(plan, "measure", lambda jobs: [Cost(1.25e9, 4.25, 2e8) for _ in jobs])
    words = Words(dataset=str(root), architectures=("rnn",), preset="smoke", device="cpu")
    request = compare_request(words)
    rows = {row["step"]: (row["memory"], row["seconds"]) for row in plan_rows(request, Home.current())}
    assert rows == {"train": (1250, 4.2), "evaluate": (1400, None), "export": (1400, None)}


class TwoHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 3)
        self.both = Both()

    def forward(self, images_BCHW: Tensor) -> dict[str, Tensor]:
        outputs: dict[str, Tensor] = self.both(self.head(images_BCHW.flatten(1)))
        return outputs


class Both(nn.Module):
    def forward(self, values: Tensor) -> dict[str, Tensor]:
        return {"logits": values, "second": values}


def test_a_module_that_gives_several_outputs_can_be_measured() -> None:
    size = measure_size(TwoHeads(), ImageForm(1, 2, 2))
    assert (size.parameters, size.activation_bytes) == (15, 2 * 3 * torch.float32.itemsize)
