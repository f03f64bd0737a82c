"""A user's own module: tried before anything is recorded, and told its own error."""

from __future__ import annotations

import copy
import py_compile
from pathlib import Path

import pytest
import torch

from modelyard.data.packed import pack
from modelyard.errors import ConfigError, ExportError
from modelyard.home import Home
from modelyard.models import CustomConfig, own_code
from modelyard.recipes.named import make_recipe, named
from modelyard.recipes.request import compare_request
from modelyard.recipes.words import Words
from modelyard.samples import ImageForm
from modelyard.steps.nodes import train_node
from modelyard.steps.preparation import check_model
from modelyard.steps.requests import BuildRequest
from tests.bundles import lit_dataset
from tests.data.samples import image_folder

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

SIZE = 3

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
    request = BuildRequest(
        recipe=recipe, label=name, seed=0, data_step="data", data_digest=dataset.digest, dataset="lit"
    )
    check_model(request, home)


def test_a_sound_module_passes_and_is_named_after_its_file(tmp_path: Path) -> None:
    check(tmp_path, "Fine")
    (tmp_path / "nets.py").write_text(
        f"from __future__ import annotations\n{SOURCE}"
    )  # dataclasses then need their module
    assert list(named(Words(dataset="", architectures=(f"{tmp_path}/nets.py:Fine",)))) == ["nets.Fine"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Narrow", r"nets\.py:Narrow: expected logits of shape \(2, 5\) for 2 images, received \(2, 3\)"),
        ("Failing", r"nets\.py:Failing: cannot be built \(RuntimeError: my own fault\)"),
        (
            "Absent",
            r"nets\.py:Absent: no class Absent; the file has Fine, Sizes, Narrow, Branching, Failing$",
        ),
        ("SIZE", r"nets\.py:SIZE: SIZE is no class but of type int; the file has Fine, "),
    ],
)
def test_a_module_that_does_not_fit_is_refused(tmp_path: Path, name: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        check(tmp_path, name)


def test_a_file_that_cannot_be_imported_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"cannot be built \(ModuleNotFoundError: No module named 'nothere'\)"
    ):
        check(tmp_path, "Fine", "import nothere")


def test_a_module_that_cannot_be_exported_is_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="torch cannot write this model as ONNX"):
        check(tmp_path, "Branching")


OUTPUTS = {
    "a tensor": "logits",
    "a tuple": "(logits, features)",
    "a tuple, logits last": "(features, logits)",
    "a list": "[logits, features]",
    "a dict": "{'features': features, 'logits': logits}",
    "torchvision's name": "{'aux': 2 * logits, 'out': logits}",
    "a named tuple": "collections.namedtuple('Outputs', ['aux', 'logits'])(2 * logits, logits)",
    "a record with slots": "Slots(2 * logits, logits)",
    "a record": "types.SimpleNamespace(aux=2 * logits, logits=logits)",
}


@pytest.mark.parametrize("training", OUTPUTS)
@pytest.mark.parametrize("evaluation", ["a tensor", "a tuple, logits last", "a record"])
def test_the_logits_are_found_in_what_a_module_gives(tmp_path: Path, training: str, evaluation: str) -> None:
    """A9: in training and in evaluation; its weights keep their names."""
    model = parsed(tmp_path, OUTPUTS[training], OUTPUTS[evaluation]).check(ImageForm(1, 3, 5), 5)
    images_BCHW = torch.rand(7, 1, 3, 5)
    expected_BK = model.get_submodule("layer")(images_BCHW.flatten(1))
    for again in (model.train(), model.eval(), copy.deepcopy(model)):
        torch.testing.assert_close(again(images_BCHW), expected_BK)
    assert list(model.state_dict()) == ["layer.weight", "layer.bias"]


def test_a_second_head_is_not_exported(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(outputs_source(OUTPUTS["a dict"], OUTPUTS["a record"]))
    check(tmp_path, "Net", outputs_source(OUTPUTS["a dict"], OUTPUTS["a record"]))


@pytest.mark.parametrize(
    ("training", "evaluation", "expected"),
    [
        (
            "(features, 1)",
            "logits",
            r"received a tuple of 2: \(2, 15\), int while training; return the logits",
        ),
        ("None", "logits", r"received a NoneType while training"),
        ("logits", "logits.softmax(1)", r"received probabilities; leave the softmax out"),
        ("logits.softmax(1)", "logits", r"received probabilities while training"),
        ("logits.detach()", "logits", "expected logits that depend on a parameter"),
        ("logits.argmax(1)", "logits", r"received \(2,\) of int64 while training"),
        (
            "logits",
            "logits.round().long()",
            r"expected logits of shape \(2, 5\) for 2 images, received \(2, 5\) of int64",
        ),
        ("logits", "{'a': features}", r"received a dict of 1: \(2, 15\); return"),
        ("1 / 0", "logits", r"fails while training \(ZeroDivisionError: division by zero\)"),
        ("logits", "features @ logits", r"fails \(RuntimeError: .*2x15 and 2x5"),
    ],
)
def test_an_output_without_logits_is_told(
    tmp_path: Path, training: str, evaluation: str, expected: str
) -> None:
    with pytest.raises(ConfigError, match=rf"nets\.py:Net: .*{expected}"):
        parsed(tmp_path, training, evaluation).check(ImageForm(1, 3, 5), 5)


def outputs_source(training: str, evaluation: str) -> str:
    return f"""
import collections, types
from dataclasses import dataclass
from torch import nn
@dataclass(slots=True)
class Slots:
    aux: object
    logits: object
class Net(nn.Module):
    def __init__(self, image_shape, num_classes):
        super().__init__()
        self.layer = nn.Linear(15, num_classes)
    def forward(self, images):
        features = images.flatten(1)
        logits = self.layer(features)
        return {training} if self.training else {evaluation}
"""


def parsed(folder: Path, training: str, evaluation: str) -> CustomConfig:
    (folder / "nets.py").write_text(outputs_source(training, evaluation))
    return CustomConfig.parse(f"{folder}/nets.py:Net")


def test_the_check_leaves_the_model_as_it_was_built(tmp_path: Path) -> None:
    source = SOURCE.replace("self.layer = ", "self.norm = nn.BatchNorm1d(num_classes); self.layer = ")
    source = source.replace(
        "return self.layer(images.flatten(1))", "return self.norm(self.layer(images.flatten(1)))"
    )
    (tmp_path / "nets.py").write_text(source)
    model = CustomConfig.parse(f"{tmp_path}/nets.py:Fine").check(ImageForm(1, 3, 5), 5)
    assert int(model.get_buffer("norm.num_batches_tracked")) == 0


@pytest.mark.parametrize(
    ("end", "told"),
    [
        ("raise SystemExit('bye')", "SystemExit: bye"),
        ("class Odd(BaseException): ...\nraise Odd('a' * 10**6)", "Odd: aaa"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("while True: print('x' * 100)", "RuntimeError: it prints more than 100000 characters"),
        ("import sys\nwhile True: sys.stderr.write('\\n')", "RuntimeError: it prints more than"),
        ("x = (", "SyntaxError"),
        (
            "import nosuch",
            "ModuleNotFoundError: No module named 'nosuch'); install it, or put it beside the file",
        ),
        ("raise ValueError('two\\nlines')", "ValueError: two lines"),
    ],
)
def test_whatever_ends_an_import_is_one_line(tmp_path: Path, end: str, told: str) -> None:
    (tmp_path / "nets.py").write_text(f"{SOURCE}\n{end}")
    with pytest.raises(ConfigError) as caught:
        CustomConfig.parse(f"{tmp_path}/nets.py:Fine")
    assert f"nets.py:Fine: cannot be built ({told}" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 1500


def test_a_module_may_be_told_its_arguments(tmp_path: Path) -> None:
    source = SOURCE.replace("image_shape, num_classes):", "image_shape, num_classes, *, depth, name=''):")
    (tmp_path / "nets.py").write_text(source)
    recipe = make_recipe(f"{tmp_path}/nets.py:Fine", "smoke")
    with pytest.raises(ConfigError, match=r"'depth'\); it is called as Fine\(image_shape, num_classes\)"):
        recipe.model.build(ImageForm(1, 3, 5), 5)
    set_twice = recipe.override(["model.kwargs.depth=34", "model.kwargs.name=x y", "model.kwargs.depth=18"])
    assert set_twice.made_flat()["model.kwargs.depth"] == 18
    set_twice.model.build(ImageForm(1, 3, 5), 5)
    with pytest.raises(
        ConfigError, match=r"'width'\); it is called as Fine\(image_shape, num_classes, width=1\.5\)"
    ):
        recipe.override(["model.kwargs.width=1.5"]).model.build(ImageForm(1, 3, 5), 5)
    for wrong in (
        "model.kwarg.depth=3",
        "model.kwargs=3",
        "model.kwargs.a.b=3",
        "model.kwargs.a b=3",
        'model.kwargs={"a": 3}',
    ):
        with pytest.raises(ConfigError, match=r"unknown recipe key .*did you mean model\.kwargs\.NAME\?"):
            recipe.override([wrong])
    for value, received in (
        ("[3]", r"\[3\]"),
        ('{"a": 3}', "{'a': 3}"),
        ("NaN", "nan"),
        ("-Infinity", "-inf"),
    ):
        with pytest.raises(
            ConfigError,
            match=rf"kwargs\.depth: expected text, a number, true, false or null; received {received}",
        ):
            recipe.override([f"model.kwargs.depth={value}"])
    with pytest.raises(ConfigError, match="unknown recipe key"):
        recipe.override(["training.kwargs.a=3"])
    with pytest.raises(ConfigError, match=r"unknown recipe key 'model\.kwargs\.depth'"):
        make_recipe("cnn", "smoke").override(["model.kwargs.depth=3"])


def digest(folder: Path, name: str = "Net") -> str:
    return CustomConfig.parse(f"{folder}/nets.py:{name}").started(ImageForm(1, 3, 5), 5).weights_digest


@pytest.mark.parametrize(
    "how", ["self.load_state_dict(torch.load(FILE, weights_only=True), strict=False)", "self.plain = W"]
)
def test_other_weights_beside_the_module_are_another_model(tmp_path: Path, how: str) -> None:
    """A4; what is random without a seed counts for nothing."""
    source = outputs_source("logits", "logits").replace(
        "= nn.Linear(15, num_classes)",
        "= nn.Linear(15, num_classes); "
        "self.register_buffer('noise', torch.rand(3, generator=torch.Generator().manual_seed(next(N))));"
        f" W = torch.load(FILE, weights_only=True)['layer.bias']; {how}",
    )
    file = tmp_path / "w.pt"
    (tmp_path / "nets.py").write_text(
        f"import itertools, torch\nN = itertools.count()\nFILE = {str(file)!r}\n{source}"
    )
    digests = []
    for value in (1.0, 2.0, 1.0):
        torch.save({"layer.bias": torch.full((5,), value)}, file)
        digests.append(digest(tmp_path))
    assert digests[0] == digests[2] != digests[1]
    model = CustomConfig.parse(f"{tmp_path}/nets.py:Net").started(ImageForm(1, 3, 5), 5)
    model.demand_started(ImageForm(1, 3, 5), 5)
    torch.save({"layer.bias": torch.full((5,), 3.0)}, file)
    with pytest.raises(
        ConfigError, match=r"nets\.py:Net: it starts from other weights than when the run began"
    ):
        model.demand_started(ImageForm(1, 3, 5), 5)


def test_the_first_weights_are_in_the_key_and_the_place_of_the_file_is_not(tmp_path: Path) -> None:
    keys = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        (folder / "nets.py").write_text(SOURCE)
        recipe = make_recipe(f"{folder}/nets.py:Fine", "smoke")
        for model in (recipe.model, recipe.model.model_copy(update={"weights_digest": "1"})):
            request = BuildRequest(
                recipe=recipe.model_copy(update={"model": model}),
                label="x",
                seed=0,
                data_step="data",
                data_digest="",
                dataset="d",
            )
            keys.append(train_node(request).key)
    assert keys[0] == keys[2] != keys[1] == keys[3]


def test_two_files_of_one_name_have_two_labels(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "nets.py").write_text(SOURCE)
    names = tuple(f"{tmp_path}/{folder}/nets.py:Fine" for folder in "ab")
    assert list(named(Words(dataset="", architectures=names))) == ["nets.Fine", "b.nets.Fine"]


def test_what_does_not_fit_is_told_before_any_image_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelyard.samples.image.read_image", None)
    monkeypatch.setattr("modelyard.sources.folder.read_image", None)
    folder = image_folder(tmp_path / "in", {"a": 9, "b": 9, "c": 9}, size=(6, 4))
    for dataset, height in ((str(folder), "6"), ("digits", "28")):
        source = SOURCE.replace("return self.layer", f"assert images.shape[2] != {height}; return self.layer")
        (tmp_path / "nets.py").write_text(source)
        with pytest.raises(ConfigError, match=r"nets\.py:Fine: fails \(AssertionError"):
            compare_request(Words(dataset=dataset, architectures=(f"{tmp_path}/nets.py:Fine",)))


def test_an_edit_of_the_source_is_another_model(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(SOURCE)
    before = make_recipe(f"{tmp_path}/nets.py:Fine", "smoke")
    (tmp_path / "nets.py").write_text(SOURCE + "# changed")
    assert make_recipe(f"{tmp_path}/nets.py:Fine", "smoke") != before


def test_what_runs_is_what_the_digest_is_of(tmp_path: Path) -> None:
    """C1: neither a file that was edited after it was checked, nor another one that Python has
    cached for it.
    """
    file, marker = tmp_path / "nets.py", tmp_path / "marker"
    hostile = SOURCE + f"\nopen({str(marker)!r}, 'w').close()"
    file.write_text(hostile)
    py_compile.compile(str(file), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    file.write_text(SOURCE)
    model = CustomConfig.parse(f"{file}:Fine")
    model.build(ImageForm(1, 2, 2), 3)
    file.write_text(hostile)
    model.build(ImageForm(1, 2, 2), 3)
    own_code.load.cache_clear()  # as in another process
    with pytest.raises(ConfigError, match="it was edited after the run began"):
        model.build(ImageForm(1, 2, 2), 3)
    assert not marker.exists()
