"""`modelyard predict` and `modelyard.load` of a model that reads texts."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest

import modelyard
from modelyard.errors import DataError
from modelyard.home import Home
from modelyard.inference.model import Model
from tests.cli.test_cli import run
from tests.serving.text_bundles import CLASSES, Counts, release_texts

COUNTS = Counts(longest=16)
TEXTS = ("a bad cab", "中文 🎈 dd", "e\u0301 c", "b" * 40, "dad\n")
Output = pytest.CaptureFixture[str]


@pytest.fixture(params=["strings", "bytes"])
def home(store: Path, request: pytest.FixtureRequest) -> Home:
    """With one model, `letters`, whose graph takes the one or the other."""
    release_texts(store / "runs" / "releases", 1, COUNTS, "champion", encoding=request.param)
    return Home.current()


def right(texts: tuple[str, ...]) -> list[str]:
    return [CLASSES[at] for at in COUNTS.probabilities(texts).argmax(1)]


def rows(capsys: Output) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_texts_files_folders_and_stdin_are_answered_alike(
    home: Home, tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("predict", *TEXTS, "--json") == 0
    told = rows(capsys)
    assert [row["text"] for row in told] == list(TEXTS)
    assert [row["label"] for row in told] == right(TEXTS)
    answers_NK = [list(row["probabilities"].values()) for row in told]
    np.testing.assert_allclose(answers_NK, COUNTS.probabilities(TEXTS), atol=1e-6)
    assert [" of which the model reads the first 16" in str(row.get("warnings")) for row in told] == [
        False, False, False, True, False,
    ]  # fmt: skip

    folder = tmp_path / "in"
    (folder / "b").mkdir(parents=True)
    names = [folder / "a.txt", folder / "b" / "1.TXT", folder / "b" / "2.txt"]
    for name, text in zip(names, TEXTS, strict=False):
        name.write_bytes(b"\xef\xbb\xbf" + text.encode())
    (folder / "notes.md").write_text("x")
    assert run("predict", str(folder), "--json") == 0
    output = capsys.readouterr()
    told = [json.loads(line) for line in output.out.splitlines()]
    assert [row["text"] for row in told] == [*map(str, names)]
    assert [[*row["probabilities"].values()] for row in told] == answers_NK[:3]
    assert "NOTE: 1 files left out: .md 1" in output.err

    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(TEXTS[0].encode())))
    assert run("predict", "-", str(names[1]), "--csv", "--top", "2") == 0
    table = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["label"] for row in table] == right(TEXTS[:2]) and "label_2" in table[0]
    assert [row["text"] for row in table] == ["-", str(names[1])]


def test_what_is_no_text_is_a_line_and_the_rest_is_answered(
    home: Home, tmp_path: Path, capsys: Output
) -> None:
    wide, empty, zero = tmp_path / "wide.txt", tmp_path / "empty", tmp_path / "zero"
    wide.write_bytes("abc".encode("utf-16"))
    zero.write_bytes(b"a\0b")
    empty.mkdir()
    for words, code, expected in (
        ([str(wide), "abc"], 1, "wide.txt: not in UTF-8: byte 0xff after 0 others; "),
        ([str(empty)], 2, "empty: holds no texts; expected .txt; it is empty"),
        (["review.txt", "abc"], 1, "review.txt: not a readable text (No such file or directory)"),
        ([str(zero), "abc"], 1, "zero: a text holds the character NUL"),
        (["abc\udcff", "abc"], 1, "half a surrogate pair"),
        (["abc", "--invert"], 2, "--invert: expected a model of pictures, letters reads texts; leave it out"),
    ):
        assert run("predict", *words) == code
        told = capsys.readouterr()
        assert expected in told.err and len(told.out.splitlines()) == (code == 1), words
    assert run("predict", "a review of review.txt", "", "x" * 3000) == 0


def test_a_program_gives_texts_in_every_usual_way(home: Home, tmp_path: Path) -> None:
    model = modelyard.load("letters")
    file = tmp_path / "a"
    file.write_text(TEXTS[0])
    array = np.array(TEXTS)
    for given in (
        TEXTS, list(TEXTS), iter(TEXTS), array, array[:, None], array.astype(object), pd.Series(TEXTS),
        pd.DataFrame({"texts": TEXTS}),
    ):  # fmt: skip
        found = model.predict(given)
        np.testing.assert_allclose(found.probabilities, COUNTS.probabilities(TEXTS), atol=1e-6)
    assert model.predict(TEXTS[0]).labels == model.predict(file).labels == right(TEXTS[:1])
    assert model.predict([]).probabilities.shape == (0, len(CLASSES))
    assert "<th>text</th>" in found._repr_html_() and "<td>a bad cab</td>" in found._repr_html_()
    assert "texts of up to 16 characters" in repr(model) and "UTF-8, NFC" in model._repr_html_()


@pytest.mark.parametrize(("given", "told"), [
    (b"abc", "received bytes; decode it: value.decode()"), (["a", b"b"], "row 1: expected a text"),
    (["a", None], "row 1: expected a text (str) or a file (Path), received NoneType"), (3, "received int"),
    (np.zeros((2, 3), np.uint8), "received uint8 [2, 3]"), ({"texts": ["a"]}, "received dict"),
    (pd.DataFrame({"a": ["b"], "c": ["d"]}), "received object [1, 2]"), (["a", "\ud800"], "row 1: a text"),
    (np.array([b"abc"]), "received |S3 [1]"),
])  # fmt: skip
def test_what_would_be_answered_wrongly_is_refused(store: Path, given: object, told: str) -> None:
    release_texts(store / "runs" / "releases", 1, COUNTS, "champion")
    with pytest.raises(DataError) as error:
        modelyard.load().predict(given)
    assert told in str(error.value)


def test_many_are_answered_batch_by_batch(home: Home) -> None:
    texts = tuple("abcd"[at % 4] * (at % 9) for at in range(600))
    model: Model = modelyard.load()
    np.testing.assert_allclose(model.predict(texts).probabilities, COUNTS.probabilities(texts), atol=1e-6)
