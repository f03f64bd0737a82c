"""Texts that cannot be taken as they are: a line says where and what to do, and nothing is lost silently."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from modelyard.data.options import FolderOptions
from modelyard.errors import DataError
from modelyard.sources.cache import load_folder
from modelyard.sources.kinds import kind_at
from tests.data.samples import modelyard
from tests.sources.texts.written import PAIRS, everything, rows, written

OPTIONS, SKIP = FolderOptions(), FolderOptions(skip_unreadable=True)
TABLE = "text,label\n" + rows("{0},{1}")
JSON = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in PAIRS)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", (TABLE + "café,a\n").encode("latin-1"), "line 22 is not in UTF-8: byte 0xe9 after 3"),
        ("a.tsv", rows("{1}\t中文 {0}").encode("gb18030"), "line 1 is not in UTF-8: byte 0xd6"),
        ("a.csv", TABLE.encode("utf-16"), "iconv -f UTF-16 -t UTF-8"),
        ("a.csv", TABLE.replace("text,label", "text,score").replace(",a", ",0.5").replace(",b", ",2"),
         "the labels are numbers with decimals (0.5)"),
        ("a.csv", "text,label\n" + rows("{0},a"), "has one class (a); a classifier needs at least two"),
        ("a.csv", "text,label\n" + rows("{0},{0}"), "20 different labels in 20 rows"),
        ("a.csv", "text,label\n", "holds no rows"),
        ("a.csv", "text,label\n" + rows("\"b'{0}'\",{1}"), "20 of 20 texts look as Python shows bytes"),
        ("a.csv", TABLE + '"opened,a\n' + rows("{0},{1}"), "line 22: a quotation mark is opened in this row"),
        ("a.csv", "sep=,\n" + TABLE + '"opened,a\n', "line 23: a quotation mark is opened in this row"),
        ("a.parquet", b"PAR1, and no more", "expected a column image with bytes, or text, and label"),
        ("a.csv", TABLE.replace("\n", "\r"), "line 1: it ends in a carriage return alone"),
        ("a.txt", "Hello; a letter\n", "is text; expected a folder of class folders"),
        ("a.csv", TABLE + "one,c\n", "at least 3 texts for three splits; too few: c (1)"),
        ("a.csv", "text\n" + rows("{0}"), "names no pictures beside or below it, and no column"),
        ("a.csv", "one,two,three\n" + rows("{0},{1},{0}"), "one and three may all be the texts"),
        ("a.csv", "text,one,two\n" + rows("{0},{1},{1}"), "no column is clearly the labels; choose"),
        ("a.csv", "width,height\n3.5,4\n5,7\n", "no column is clearly the texts; choose one by"),
        ("a.jsonl", JSON + "{oops}\n", "line 21 is no JSON"),
        ("a.jsonl", JSON + "[1]\n", "line 21 is no object"),
    ],
)  # fmt: skip
def test_files_that_are_refused(name: str, content: str | bytes, expected: str, store: Path) -> None:
    path = written(store / name, content)
    with pytest.raises(DataError) as caught:
        load_folder(path, SKIP)
    assert expected in str(caught.value) and str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("name", "row", "expected"),
    [
        ("a.csv", "a\0b,a", "rows that hold the character NUL: 1 (a.csv line 22"),
        ("a.csv", "hello, you,a", "rows that have more or fewer columns than the first line"),
        ("a.csv", "of no class,", "rows that have no label: 1 (a.csv line 22"),
        ("a.jsonl", '{"text": "half \\ud800", "label": "a"}', "rows that hold half a surrogate pair"),
        ("a.jsonl", '{"text": ["x"], "label": "a"}', "rows that hold no text but a list: 1 (a.jsonl line 21"),
        ("a.jsonl", '{"text": {"x": 1}, "label": "a"}', "rows that hold no text but an object"),
        ("a.jsonl", '{"text": true, "label": "a"}', "rows that hold no text but true or false"),
        ("a.jsonl", '{"text": "x", "label": ["a", "b"]}', "rows that have no single label but a list"),
        ("a.jsonl", '{"text": "x"}', "rows that have no label: 1 (a.jsonl line 21"),
    ],
)
def test_rows_at_fault_are_named_or_skipped(name: str, row: str, expected: str, store: Path) -> None:
    path = written(store / name, (TABLE if name.endswith("csv") else JSON) + row + "\n")
    with pytest.raises(DataError) as caught:
        load_folder(path, OPTIONS)
    assert expected in str(caught.value) and str(caught.value).endswith("or pass --skip-unreadable")
    dataset = load_folder(path, SKIP)
    assert any(expected in note for note in dataset.origin["notes"])
    assert everything(dataset) == sorted(PAIRS)


def test_columns_that_are_not_there_are_told_with_those_that_are(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(written(store / "a.csv", "review,mark\n" + rows("{0},{1}")))
    for flags, missing in ((["--text-column", "reviews"], "reviews"), (["--label-column", "no"], "no")):
        assert modelyard("data", "import", path, *flags) == 2
        message = capsys.readouterr().err
        assert f"no column '{missing}'" in message and "it has the columns review, mark" in message
    assert modelyard("data", "import", path, "--text-column", "mark", "--label-column", "mark") == 2
    assert "cannot be both texts and labels" in capsys.readouterr().err
    assert modelyard("data", "import", path, "--height", "32") == 2
    assert "data.height=32 is not for texts" in capsys.readouterr().err


def test_what_is_odd_but_legal_is_kept_and_told(store: Path) -> None:
    values = ["a b", 3, 4.5, None, "", "  ", "long " * 2_000_000]
    lines = [json.dumps({"text": text, "label": 1 if place else "1"}) for place, text in enumerate(values)]
    dataset = load_folder(written(store / "a.jsonl", JSON + "\n".join(lines)), OPTIONS)
    kept = [text for text, label in everything(dataset) if label == "1"]
    assert sorted(kept) == sorted(["a b", "3", "4.5", "", "", "  ", ("long " * 205)[:1024]])
    told = " ".join(dataset.origin["notes"])
    assert "1 of 27 texts are longer than 1,024 characters" in told and "10,000,000" in told
    assert "texts that are empty: 3" in told and "as they are written: 2" in told
    assert "labels are of several types (int, str)" in told


def test_whole_numbers_are_classes_however_a_table_writes_them(store: Path) -> None:
    path = written(store / "a.csv", TABLE.replace(",a\n", ",0.0\n").replace(",b\n", ",10.0\n"))
    assert load_folder(path, OPTIONS).classes == ("0", "10")


def test_classes_without_a_text_in_test_are_told(store: Path) -> None:
    written(store / "in" / "train.csv", TABLE + "one,c\ntwo,c\n")
    written(store / "in" / "test.csv", TABLE)
    assert (
        "WARNING: classes without a text in test: 1 (c)" in load_folder(store / "in", OPTIONS).origin["notes"]
    )


def test_classes_without_a_text_in_train_are_refused(store: Path) -> None:
    written(store / "in" / "train.csv", TABLE)
    written(store / "in" / "test.csv", TABLE + "one,c\n")
    with pytest.raises(DataError, match="classes without a text in train: c; expected texts of each"):
        load_folder(store / "in", OPTIONS)


def test_true_and_false_are_one_class_each_however_they_are_written(store: Path) -> None:
    table = "text,label\n" + "".join(f"{text},{label}\n" for text, _ in PAIRS for label in ("True", "FALSE"))
    lines = [json.dumps({"text": text, "label": label}) for text, _ in PAIRS for label in (True, False)]
    as_csv = load_folder(written(store / "a.csv", table), OPTIONS)
    as_json = load_folder(written(store / "a.jsonl", "\n".join(lines)), OPTIONS)
    assert as_csv.classes == as_json.classes == ("false", "true") and as_csv.digest == as_json.digest


@pytest.mark.parametrize("packed", [False, True])
def test_no_more_is_unpacked_than_is_allowed(packed: bool, store: Path) -> None:
    content = TABLE.encode() + b"x " * 100_000 + b",a\n"
    path = written(store / ("a.csv.gz" if packed else "a.csv"), gzip.compress(content) if packed else content)
    with pytest.raises(DataError, match=r"more than 0\.0001 GB; allow more by data\.max_bytes"):
        load_folder(path, FolderOptions(max_bytes=100_000))
    assert len(load_folder(path, OPTIONS).train) == 17


def test_several_tables_of_which_none_is_called_train_are_refused(store: Path) -> None:
    for name in ("x.csv", "y.csv"):
        written(store / "in" / name, TABLE)
    assert kind_at(store / "in", OPTIONS) == "text"
    with pytest.raises(DataError, match=r"holds 2 tables \(x\.csv, y\.csv\), none of which is called train"):
        load_folder(store / "in", OPTIONS)
