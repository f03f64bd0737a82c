"""The named sets of texts: from a local folder, or from what is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelyard.data.options import FolderOptions
from modelyard.errors import DataError
from modelyard.samples.text import text_of
from modelyard.samples.text_form import TextForm
from modelyard.sources.mirrors import SourceMissing
from modelyard.sources.peek import describe
from modelyard.sources.sources import available, load_dataset
from modelyard.sources.texts.docstrings import PACKAGES, first_sentence, read_docstrings, versions
from modelyard.sources.texts.named import docstrings_variant
from tests.sources.texts.written import PAIRS, labelled, rows, written


def test_a_named_set_is_read_from_a_local_folder_once(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceMissing, match=r"put train\.tsv and test\.tsv .* into a folder trec/"):
        load_dataset("trec")
    assert "put it below MODELYARD_DATA" in available()["trec"]
    for name in ("train.tsv", "test.tsv", "train50.tsv"):
        written(store / "data" / "trec" / name, rows("{1}\t{0}"))
    monkeypatch.setenv("MODELYARD_DATA", str(store / "data"))
    dataset = load_dataset("trec")
    assert (dataset.name, dataset.origin["source"]) == ("trec", str(store / "data" / "trec"))
    assert labelled(dataset.train, dataset.classes) == labelled(dataset.test, dataset.classes) == PAIRS
    short = load_dataset("trec", FolderOptions(longest=8))
    assert {len(text) for text, _ in labelled(short.test, short.classes)} == {8}
    monkeypatch.delenv("MODELYARD_DATA")
    assert load_dataset("trec").digest == dataset.digest != short.digest
    with pytest.raises(DataError, match=r"trec has no fit, data\.fit=pad is for image folders only"):
        load_dataset("trec", FolderOptions(fit="pad"))


@pytest.mark.parametrize("name", ["trec", "sst2", "sms-spam", "banking77", "chnsenticorp", "docstrings"])
def test_a_name_tells_its_kind(name: str, store: Path) -> None:
    assert (describe(name).kind, describe(name).name) == ("text", name)


def test_docstrings_are_first_sentences_of_one_package_each() -> None:
    form = TextForm(1024)
    train, test = read_docstrings(form, ("PIL", "rich"))
    texts = [text_of(row) for split in (train, test) for row in split.in_memory]
    assert len(set(texts)) == len(texts) > 500
    assert set(train.labels_N) == set(test.labels_N) == {0, 1}
    assert abs(len(test) / len(texts) - 0.2) < 0.01
    assert all("\n" not in text and len(text.split()) >= 3 for text in texts)
    assert set(versions()) == set(PACKAGES)
    assert docstrings_variant(FolderOptions()) != docstrings_variant(FolderOptions(longest=9))


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        ("Do it now. Then more.", "Do it now."),
        ("Do it\nin two lines\n\nMore.", "Do it in two lines"),
        ("Use a version 1.5 of it. More.", "Use a version 1.5 of it."),
        ("One two", ""),
        ("", ""),
    ],
)
def test_a_first_sentence_is_one_line(docstring: str, expected: str) -> None:
    assert first_sentence(docstring) == expected
