"""A user's own module: tried before anything is recorded, and told its own error."""

from __future__ import annotations

import py_compile
from pathlib import Path

import pytest

from modelyard.data.packed import pack
from modelyard.errors import ConfigError, ExportError
from modelyard.home import Home
from modelyard.models import CustomConfig, custom
from modelyard.recipes import make_recipe, named_recipes
from modelyard.requests import BuildRequest
from modelyard.steps import check_model
from tests.bundles import lit_dataset

SOURCE = """
from dataclasses import dataclass
from torch import nn

class Fine(nn.Module):
    def __init__(self, image_shape, num_classes):
        super().__init__()
        channels, height, width = image_shape
        self.layer = nn.Linear(channels * height * width, num_classes)

    def forward(self, images):
        return self.layer(images.flatten(1))

@dataclass
class Sizes:
    width: int = 3
    depth: int = 2

class Narrow(Fine):
    def forward(self, images):
        return super().forward(images)[:, :3]

class Branching(Fine):
    def forward(self, images):
        return super().forward(images * 2 if float(images.sum()) > 3 else images)

class Failing(nn.Module):
    def __init__(self, image_shape, num_classes):
        raise RuntimeError("my own fault")
"""


def check(folder: Path, name: str, source: str = SOURCE) -> None:
    """As the flow does before its first run."""
    (folder / "nets.py").write_text(source)
    dataset, home = lit_dataset(), Home(folder / "runs")
    pack(dataset, home.steps / "data")
    recipe = make_recipe(f"{folder}/nets.py:{name}", "smoke")
    request = BuildRequest(recipe=recipe, label=name, seed=0, data_step="data", data_digest=dataset.digest, dataset="lit")
    check_model(request, home)


def test_a_sound_module_passes_and_is_named_after_its_file(tmp_path: Path) -> None:
    check(tmp_path, "Fine")
    (tmp_path / "nets.py").write_text(f"from __future__ import annotations\n{SOURCE}")  # dataclasses then need their module
    assert list(named_recipes([f"{tmp_path}/nets.py:Fine"], "smoke")) == ["nets.Fine"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Narrow", r"nets\.py:Narrow: expected logits of shape \(2, 5\) for 2 images, received \(2, 3\)"),
        ("Failing", r"nets\.py:Failing: cannot be built \(RuntimeError: my own fault\)"),
        ("Absent", r"nets\.py:Absent: cannot be built \(AttributeError: .*no attribute 'Absent'\)"),
    ],
)
def test_a_module_that_does_not_fit_is_refused(tmp_path: Path, name: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        check(tmp_path, name)


def test_a_file_that_cannot_be_imported_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be built \(ModuleNotFoundError: No module named 'nothere'\)"):
        check(tmp_path, "Fine", "import nothere")


def test_a_module_that_cannot_be_exported_is_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="torch cannot write this model as ONNX"):
        check(tmp_path, "Branching")


def test_an_edit_of_the_source_is_another_model(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(SOURCE)
    before = make_recipe(f"{tmp_path}/nets.py:Fine", "smoke")
    (tmp_path / "nets.py").write_text(SOURCE + "# changed")
    assert make_recipe(f"{tmp_path}/nets.py:Fine", "smoke") != before


def test_what_runs_is_what_the_digest_is_of(tmp_path: Path) -> None:
    """C1: neither a file that was edited after it was checked, nor another one that Python has cached for it."""
    file, marker = tmp_path / "nets.py", tmp_path / "marker"
    hostile = SOURCE + f"\nopen({str(marker)!r}, 'w').close()"
    file.write_text(hostile)
    py_compile.compile(str(file), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    file.write_text(SOURCE)
    model = CustomConfig.parse(f"{file}:Fine")
    model.build((1, 2, 2), 3)
    file.write_text(hostile)
    model.build((1, 2, 2), 3)
    custom._find.cache_clear()  # as in another process
    with pytest.raises(ConfigError, match="it was edited after the run began"):
        model.build((1, 2, 2), 3)
    assert not marker.exists()
