"""Where the code may speak of images and of texts: names, and strings that are keys, in files of that kind,
and where stores, clients and MLflow's history fix a word. Sentences for people are free.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import pytest

from modelyard.samples import FORMS
from tests.laws.test_floors import modules, within

KEY = re.compile(r"[\w/.-]+")
"""A string of this form is a key, a file's name or a metric; others are sentences."""
KINDS, CLASSES = {*FORMS}, {form.__name__ for form in FORMS.values()}
LISTS = {
    "samples", "models", "sources.kinds", "sources.named", "recipes.named", "evaluation.mistakes",
    "export.cores", "export.fronts", "inference.doubts", "inference.reading", "inspection.measures",
    "serving.protocol.inputs", "serving.protocol.uploads", "training.objectives.masked",
}  # fmt: skip
"""The tables in which kinds meet: they name the members of each."""


@dataclass(frozen=True, slots=True)
class Words:
    """Of one kind of samples."""

    pattern: re.Pattern[str]
    own: frozenset[str]
    """Rooms and modules of the kind."""
    fixed: dict[str, str]
    """Module -> its words, and what holds them: another word would lose something that is kept."""
    to_be_renamed: frozenset[str] = frozenset()
    """Rooms that every kind passes through: this only ever becomes shorter."""
    others: frozenset[str] = frozenset()
    """Names that mean something else."""

    def said_in(self, code: ast.AST) -> set[str]:
        """Names and keys with one of them."""
        nodes = list(ast.walk(code))
        docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        names = {
            name for node in nodes if not (text_of(node) and id(node) in docstrings) for name in named(node)
        }
        return {name for name in names - self.others if self.pattern.search(name)}

    @property
    def speakers(self) -> set[str]:
        """The modules that say one, but for the tables."""
        return {module for module in known() if self.said_in(tree(module))} - LISTS


IMAGES = Words(
    re.compile(r"image|pixel|picture|n?chw|n?hwc", re.IGNORECASE),
    frozenset({
        # what one image is, how it is read, networks that take one, where its files come from
        "samples", "models", "sources", "data.ground", "data.augmentation",
        # its statistics and drawings
        "inspection.contact_sheet", "inspection.measures.images", "inspection.profile",
        "inspection.validation", "evaluation.mistakes.images",
        "inference.doubts.images",
        # what is hidden of one, or turned, in pre-training
        "training.objectives.hidden_patches", "training.objectives.rotation",
        # reading pictures for predict, the server and the page; normalisation in the graph
        "inference.reading.images", "serving.http.upload",
        "serving.protocol.tensors", "export.cores.pixels", "export.onnx", "cli.data",
    }),
    {
        "bundle": "image_shape: manifests of schemas 1 and 2",
        "data.packed": "ImageForm: packed data sets of earlier editions name no kind",
        "data.splits": "max_pixels: a key of recipes",
        "data.options": "max_pixels: a key of recipes",
        "recipes.lengths": "max_pixels, max_train_images: keys of recipes",
        "recipes.texts": "max_train_images: a key of recipes",
        "evaluation.metrics": "images: a column of the classes' table",
        "training.config": "max_train_images: a key of recipes",
        "training.slices": "max_train_images: a key of recipes",
        "training.parts": "max_train_images: a key of recipes",
        "training.unlabelled": "max_train_images: a key of recipes",
        "steps.train": "max_train_images: a key of recipes",
        "training.gradient": "train_images: training.json",
        "training.linear": "train_images: training.json, max_train_images: a key of recipes",
        "recipes.linear": "max_train_images: a key of recipes",
        "console.plan": "train_images: training.json",
        "cli.label_next": "--picture, as of data show",
    },
    frozenset({"training.trial"}),
)  # fmt: skip
TEXTS = Words(
    re.compile(r"(?<![a-z])texts?(?![a-z])|Texts?(?![a-z])"),
    frozenset({
        "samples", "models", "sources.texts", "inspection.measures.texts",
        "inspection.measures.text_examples", "evaluation.mistakes.texts", "inference.doubts.texts",
        "export.cores.symbols", "export.fronts", "inference.reading.texts",
        "training.linear", "training.linear_fitted", "training.terms", "export.linear", "recipes.texts",
        "serving.http.texts", "serving.protocol.inputs",
    }),
    {"cli.options": "--text-column"},
    others=frozenset({
        # a string of characters, whatever is written in it
        "text", "_text", "MAX_TEXT", "TEXT", "as_text", "is_text", "_is_text", "prometheus_text", "read_text",
        "write_text", "Text", "rich.text", "TextIO", "TextIOWrapper", "TextColumn", "PlainTextResponse",
    }),
)  # fmt: skip
ALL = {"image": IMAGES, "text": TEXTS}


def test_every_kind_has_its_words() -> None:
    assert ALL.keys() == FORMS.keys()


@pytest.mark.parametrize("kind", ALL)
def test_only_files_of_a_kind_speak_of_it(kind: str) -> None:
    words, speakers = ALL[kind], ALL[kind].speakers
    allowed = {*words.own, *words.fixed, *words.to_be_renamed}
    assert not {name for name in speakers if not within(name, allowed)}
    assert not {name for name in allowed if not any(within(speaker, {name}) for speaker in speakers)}


def test_the_tables_list_kinds() -> None:
    assert not [name for name in LISTS if not any(words.said_in(tree(name)) for words in ALL.values())]


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
def test_a_word_of_images_is_seen(code: str, words: set[str]) -> None:
    assert IMAGES.said_in(ast.parse(code)) == words


@pytest.mark.parametrize(("code", "words"), [
    ("texts_BL = 1", {"texts_BL"}), ("x.text_form", {"text_form"}), ("class TextCnn: ...", {"TextCnn"}),
    ("x['text-cnn']", {"text-cnn"}), ("text = path.read_text()", set()), ("context = 1", set()),
])  # fmt: skip
def test_a_word_of_texts_is_seen(code: str, words: set[str]) -> None:
    assert TEXTS.said_in(ast.parse(code)) == words


def known() -> Iterator[str]:
    """Our modules, by their rooms."""
    return (module.removeprefix("modelyard.") for module in modules())


@cache
def tree(module: str) -> ast.Module:
    path = modules().get(f"modelyard.{module}") or modules()[module]
    return ast.parse(path.read_text())


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
