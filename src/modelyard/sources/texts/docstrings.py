"""The built-in data set of texts: first sentences of the public docstrings of installed packages.

The class of each is its package; nothing is imported.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from modelyard.data.datasets import Split
from modelyard.errors import DataError
from modelyard.samples.ragged import Ragged, ragged
from modelyard.samples.text import clean_text
from modelyard.samples.text_form import TextForm

PACKAGES = ("matplotlib", "networkx", "pandas", "prefect", "sqlalchemy", "torch")
"""All of them are installed with Modelyard."""
MOST_SENTENCES = 1500
"""Of a package, so that none has most of the texts."""
LEAST_WORDS = 3
SENTENCE = re.compile(r".+?[.!?](?=\s|$)|.+", re.DOTALL)
NOT_PUBLIC = frozenset(("tests", "test", "testing", "vendor", "vendored"))
TEST_EVERY = 5


def versions() -> dict[str, str]:
    """What the content depends on."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def read_docstrings(form: TextForm, packages: Sequence[str] = PACKAGES) -> tuple[Split, Split]:
    """Train, and every fifth of a class for the test. Raises: DataError for a package without any."""
    sentences = {name: sorted(set(sentences_of(_folder(name)))) for name in packages}
    packages_with = Counter(sentence for found in sentences.values() for sentence in found)
    texts, labels = list[str](), list[int]()
    for label, (name, found) in enumerate(sentences.items()):
        own = sorted((text for text in found if packages_with[text] == 1), key=_shuffled)[:MOST_SENTENCES]
        if len(own) < TEST_EVERY:
            raise DataError(f"{name} has no docstrings here (its sources are missing); install it anew")
        texts += own
        labels += [label] * len(own)
    stored, labels_N = _stored(texts, form), np.array(labels, np.int64)
    is_test_N = np.arange(len(labels_N)) % TEST_EVERY == TEST_EVERY - 1
    whole = Split(stored, labels_N)
    return whole.take(np.flatnonzero(~is_test_N)), whole.take(np.flatnonzero(is_test_N))


def _stored(texts: Sequence[str], form: TextForm) -> Ragged:
    contents = (clean_text(text, form.longest).encode() for text in texts)
    return ragged([np.frombuffer(content, np.uint8) for content in contents], form, np.uint8)


def _shuffled(text: str) -> bytes:
    """An order that has nothing to do with the text's meaning, and is the same everywhere."""
    return hashlib.sha256(text.encode()).digest()


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise DataError(f"{package} is not installed; install Modelyard anew")
    return Path(spec.origin).parent


def sentences_of(package: Path) -> Iterator[str]:
    """First sentences of the classes, functions and methods that are public, in modules that are."""
    for file in sorted(package.rglob("*.py")):
        parts = file.relative_to(package).with_suffix("").parts
        if any(part in NOT_PUBLIC or (part.startswith("_") and part != "__init__") for part in parts):
            continue
        try:
            tree = ast.parse(file.read_bytes())
        except (SyntaxError, ValueError):  # templates of code are files, too
            continue
        yield from filter(None, map(first_sentence, _docstrings(tree)))


def _docstrings(node: ast.Module | ast.ClassDef) -> Iterator[str]:
    for member in node.body:
        if not isinstance(member, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if member.name.startswith("_"):
            continue
        yield ast.get_docstring(member) or ""
        if isinstance(member, ast.ClassDef):
            yield from _docstrings(member)


def first_sentence(docstring: str) -> str:
    """In one line; nothing where it is no sentence."""
    found = SENTENCE.match(docstring.partition("\n\n")[0].strip())
    text = " ".join((found[0] if found else "").split())
    return text if len(text.split()) >= LEAST_WORDS and text.isprintable() else ""
