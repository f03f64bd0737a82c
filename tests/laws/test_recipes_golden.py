"""No preset's value moves: what the weights are made of, for every architecture, preset and named
data set.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modelyard.recipes.named import named
from modelyard.recipes.words import Words
from tests.laws import golden

ARCHITECTURES = (
    "cnn",
    "rnn",
    "transformer",
    "lenet",
    "lstm",
    "vit",
    "torchvision:resnet18",
    "timm:resnet18",
    "own.py:Net",
)
PRESETS = ("smoke", "sprint", "tiny", "standard", "quality")
DATA = ("./images", "./mnist", "auto", "digits", "mnist", "fashion-mnist", "kmnist", "cifar10")
"""Folders of one's own first: what the named sets differ from."""
TEXT_ARCHITECTURES = ("linear", "cnn", "rnn", "transformer", "textcnn", "charcnn", "lstm", "encoder")
TEXT_DATA = ("docstrings", "trec", "sst2", "sms-spam", "banking77", "chnsenticorp", "thucnews-titles")
OWN = "from torch import nn\n\n\nclass Net(nn.Module):\n    pass\n"


def made(architecture: str, preset: str, dataset: str) -> dict[str, Any]:
    """Dotted key -> value of all that a training's key is made of but data, seed and code.

    Left out: what is None, where an own module lies, which version of a library is installed.
    """
    (recipe,) = named(Words(dataset=dataset, architectures=(architecture,), preset=preset)).values()
    values = _flat(recipe.made())
    if values["model.architecture"] in ("torchvision", "timm"):
        del values["model.source_digest"]
    return values


def judged() -> dict[str, Any]:
    """The same of what no key is made of, in any recipe."""
    (recipe,) = named(Words(dataset="", architectures=("cnn",))).values()
    in_keys = made("cnn", "standard", "")
    return {key: value for key, value in _flat(recipe.model_dump(mode="json")).items() if key not in in_keys}


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        key = f"{prefix}{name}"
        leaves |= _flat(value, f"{key}.") if isinstance(value, dict) else {key: value}
    return {key: value for key, value in leaves.items() if value is not None}


def present(folder: Path) -> dict[str, Any]:
    """Architecture -> preset and data -> all values of `standard` on the first data, then what others have of
    their own; for each kind of samples.
    """
    own = folder / "own.py"
    own.write_text(OWN)
    tree: dict[str, Any] = {"judged": judged(), "labels": {}}
    for architecture in ARCHITECTURES:
        word = architecture.replace("own.py", str(own))
        tree["labels"][architecture] = next(iter(named(Words(dataset="", architectures=(word,)))))
        tree[architecture] = _of(word, DATA)
    tree["texts"] = {name: _of(name, TEXT_DATA) for name in TEXT_ARCHITECTURES}
    return tree


def _of(architecture: str, data: tuple[str, ...]) -> dict[str, Any]:
    first = made(architecture, "standard", data[0])
    tree: dict[str, Any] = {"all": first}
    for preset in PRESETS:
        known = made(architecture, preset, data[0])
        tree[preset] = _changed(first, known)
        for dataset in data[1:]:
            if changed := _changed(known, made(architecture, preset, dataset)):
                tree[f"{preset} on {dataset}"] = changed
    return tree


def _changed(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    return {key: now.get(key) for key in dict.fromkeys([*before, *now]) if before.get(key) != now.get(key)}


def test_no_value_of_a_preset_moved(tmp_path: Path) -> None:
    assert list(golden.differences(golden.read("recipes"), present(tmp_path))) == []
