"""Where the code may speak of images: names, and strings that are keys, in files of the image kind and where
stores, clients and MLflow's history fix a word. Sentences for people are free.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from modelyard.samples import FORMS
from tests.laws.test_floors import modules

WORDS = re.compile(r"image|pixel|picture|n?chw|n?hwc", re.IGNORECASE)
KEY = re.compile(r"[\w/.-]+")
"""A string of this form is a key, a file's name or a metric; others are sentences."""
KINDS, CLASSES = {*FORMS}, {form.__name__ for form in FORMS.values()}

OF_THE_KIND = {
    # what one image is, how it is read, networks that take one, where its files come from
    "samples", "models", "sources", "data.ground", "data.augmentation",
    # its statistics and drawings
    "inspection.contact_sheet", "inspection.drift", "inspection.inspect", "inspection.profile",
    "inspection.validation", "evaluation.plots", "inference.doubts",
    # reading pictures for predict, the server and the page; normalisation in the graph
    "inference.files", "inference.model", "serving.http.upload", "serving.protocol.invocations",
    "serving.protocol.handlers", "serving.protocol.tensors", "export.onnx", "cli.data", "cli.predict",
}  # fmt: skip
FIXED = {
    "bundle": "image_shape: manifests of schemas 1 and 2",
    "data.packed": "train_images.npy: packed data sets on disk",
    "data.splits": "max_pixels: a key of recipes",
    "data.options": "max_pixels: a key of recipes",
    "recipes.lengths": "max_pixels, max_train_images: keys of recipes",
    "registry.versions": "pixel_contract: a tag of versions",
    "steps.export": "pixel_contract: metadata of ONNX files",
    "evaluation.metrics": "images: a column of the classes' table",
    "promotion.difference": "images: rows of `models diff --json`",
    "training.config": "max_train_images: a key of recipes",
    "training.parts": "max_train_images: a key of recipes",
    "steps.train": "max_train_images: a key of recipes",
    "training.job": "image_shape, train_images: training.json",
    "evaluation.board": "pictures: a row of a card",
    "console.tables": "images: rows of `models diff --json`",
    "console.plan": "image_shape, train_images: training.json",
}
"""Module -> its words, and what holds them: another word would lose something that is kept."""
TO_BE_RENAMED = {
    "data.datasets", "promotion.pairs", "steps.freshness", "training.trial",
}  # fmt: skip
"""Rooms that every kind passes through: this list only ever becomes shorter."""


def test_only_files_of_images_speak_of_them() -> None:
    rooms = {name for name in OF_THE_KIND if "." not in name}
    found = {module for module in known() if module.partition(".")[0] not in rooms and spoken(module)}
    assert found == (OF_THE_KIND - rooms) | FIXED.keys() | TO_BE_RENAMED


def test_nobody_asks_for_the_kind() -> None:
    """What differs by kind is a method of its form."""
    assert not {module: found for module in known() if (found := [*questions(tree(module))])}


@pytest.mark.parametrize("code", ["form.kind == 'image'", "isinstance(x, ImageForm)", "x.kind in {'image'}"])
def test_a_question_for_the_kind_is_seen(code: str) -> None:
    assert [*questions(ast.parse(f"if {code}: ..."))] == [code]


@pytest.mark.parametrize(("code", "words"), [
    ("images_BCHW = 1", {"images_BCHW"}), ("def f(*, pixels): ...", {"pixels"}), ("a.hwc", {"hwc"}),
    ("f(image_shape=1)", {"image_shape"}), ("x['test_images.npy']", {"test_images.npy"}),
    ("from modelyard.samples.image import x as y", {"modelyard.samples.image"}),
    ("'an image is missing'", set()), ("def f():\n    'pixels'", set()), ("x = 1", set()),
])  # fmt: skip
def test_a_word_is_seen(code: str, words: set[str]) -> None:
    assert spoken_in(ast.parse(code)) == words


def known() -> Iterator[str]:
    """Our modules, by their rooms."""
    return (module.removeprefix("modelyard.") for module in modules())


@cache
def tree(module: str) -> ast.Module:
    path = modules().get(f"modelyard.{module}") or modules()[module]
    return ast.parse(path.read_text())


@cache
def spoken(module: str) -> frozenset[str]:
    return frozenset(spoken_in(tree(module)))


def spoken_in(code: ast.AST) -> set[str]:
    """Names and keys with a word of images in them."""
    nodes = list(ast.walk(code))
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    names = {name for node in nodes if not (text_of(node) and id(node) in docstrings) for name in named(node)}
    return {name for name in names if WORDS.search(name)}


def named(node: ast.AST) -> Iterator[str]:
    """The names that a node brings in."""
    for field in ("id", "attr", "arg", "name", "asname", "module"):
        if isinstance(name := getattr(node, field, None), str):
            yield name
    if KEY.fullmatch(text_of(node)):
        yield text_of(node)


def text_of(node: ast.AST) -> str:
    """Of a string; else nothing."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def questions(code: ast.AST) -> Iterator[str]:
    """Comparisons with the name of a kind, and `isinstance` with the class of a form."""
    for node in ast.walk(code):
        parts = list(ast.walk(node)) if isinstance(node, ast.Compare | ast.Call) else []
        if isinstance(node, ast.Compare):
            found = KINDS & {*map(text_of, parts)}
        else:
            known = isinstance(node, ast.Call) and ast.unparse(node.func) in {"isinstance", "issubclass"}
            found = CLASSES & {getattr(part, "id", getattr(part, "attr", "")) for part in parts if known}
        if found:
            yield ast.unparse(node)
