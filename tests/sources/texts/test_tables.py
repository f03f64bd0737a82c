"""Tables of texts: whatever way they are written in, nothing of a text is lost or changed."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
from pathlib import Path

import pytest

from modelyard.data.options import FolderOptions
from modelyard.errors import DataError
from modelyard.sources.cache import load_folder
from modelyard.sources.kinds import kind_at
from modelyard.sources.texts.delimited import open_delimited
from tests.sources.texts.written import PAIRS, everything, labelled, rows, written

OPTIONS = FolderOptions()
NASTY = [
    'quoted "word" inside',
    '"all of it"',
    "comma, semicolon; bar| and\ttab",
    "two\nlines",
    "naïve 中文 🙂",
    "line\u2028separator\x85inside",
    " spaces around ",
    "it's",
    "back\\slash",
    "NULL",
]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "text,label\n" + rows("{0},{1}")),
        ("a.csv", "text,label\r\n" + rows("{0},{1}\r")),
        ("a.csv", "\ufefftext,label\n" + rows("{0},{1}")),
        ("a.csv", "Label;Review Text\n" + rows('{1};"{0}"')),
        ("a.csv", "id,rating,title_of,Comment\n" + rows("7,{1},x,{0}")),
        ("a.csv", "\n \nv1,v2,,\n" + rows("{1},{0},,")),
        ("a.csv", "name of it,country\n" + rows("{0},{1}")),
        ("a.csv", rows("{0},{1}")),
        ("a.csv", '"sep=;"\r\ntext;label\r\n' + rows("{0};{1}\r")),
        ("a.csv", "sep=^\n" + rows("{0}^{1}")),
        ("a.tsv", "SEP=\t\n" + rows("{0}\t{1}")),
        ("a.tsv", rows("{1}\t{0}")),
        ("a.tsv", "类别\t内容\n" + rows("{1}\t{0}")),
        ("a.txt", rows("{0}\t{1}")),
        ("a.txt", rows("{0};{1}")),
        ("a.tab", rows("{0}\t{1}")),
        ("a.tsv.gz", gzip.compress(rows("{1}\t{0}").encode())),
        ("a.jsonl", rows('{{"text": "{0}", "label": "{1}", "more": [1]}}')),
        ("a.ndjson.gz", gzip.compress(rows('{{"x": 1, "sentence": "{0}", "intent": "{1}"}}').encode())),
    ],
)
def test_tables_in_the_usual_ways(name: str, content: str | bytes, store: Path) -> None:
    path = written(store / "in" / name, content)
    assert kind_at(path, OPTIONS) == "text"
    dataset = load_folder(path, OPTIONS)
    assert everything(dataset) == sorted(PAIRS)
    assert (dataset.name, dataset.classes, len(dataset.test)) == ("a", ("a", "b"), 4)


@pytest.mark.parametrize("dialect", ["excel", "excel-tab", "unix"])
def test_what_a_writer_of_csv_quotes_comes_back(dialect: str, store: Path) -> None:
    pairs = [(text, "ab"[number % 2]) for number, text in enumerate(NASTY * 2)]
    (store / "in").mkdir()
    with (store / "in" / "a.csv").open("w", newline="") as stream:
        csv.writer(stream, dialect).writerows([("text", "label"), *pairs])
    assert everything(load_folder(store / "in", OPTIONS)) == sorted(pairs)
    with (store / "in" / "a.csv").open("w", newline="") as stream:
        writer = csv.writer(stream, dialect, doublequote=False, escapechar="\\", quoting=csv.QUOTE_ALL)
        writer.writerows([("text", "label"), *((text, label) for text, label in pairs)])
    assert everything(load_folder(store / "in", OPTIONS)) == sorted(pairs)


def test_quotes_of_a_table_with_tabs_are_letters_unless_it_is_written_as_csv_is(store: Path) -> None:
    texts = ['"Whole in quotes"', 'says "yes" and', '"opens only', "plain"] * 5
    lines = [f"{'ab'[number % 2]}\t{text}\n" for number, text in enumerate(texts)]
    path = written(store / "plain.tsv", "".join(lines))
    assert [text for text, _ in everything(load_folder(path, OPTIONS))] == sorted(texts)
    folded = "".join(f'{label}\t"{text} ""so""\nit\tgoes"\n' for text, label in PAIRS)
    path = written(store / "folded.tsv", "label\ttext\n" + folded)
    assert everything(load_folder(path, OPTIONS)) == sorted((f'{a} "so"\nit\tgoes', b) for a, b in PAIRS)


def test_jsonl_holds_any_text(store: Path) -> None:
    pairs = [(text, "ab"[number % 2]) for number, text in enumerate(NASTY * 2)]
    lines = [json.dumps({"label": label, "text": text}) for text, label in pairs]
    assert everything(load_folder(written(store / "a.jsonl", "\n".join(lines)), OPTIONS)) == sorted(pairs)


def test_parquet_with_names_of_classes_and_texts_as_bytes(store: Path) -> None:
    from pyarrow import parquet, table

    numbers = table({"text": [text for text, _ in PAIRS], "label": [int(label == "b") for _, label in PAIRS]})
    features = {"info": {"features": {"label": {"names": ["a", "b"]}}}}
    parquet.write_table(
        numbers.replace_schema_metadata({"huggingface": json.dumps(features)}), store / "a.parquet"
    )
    names = table({"text": [text.encode() for text, _ in PAIRS], "label": [label for _, label in PAIRS]})
    parquet.write_table(names, store / "b.parquet")
    for name in ("a.parquet", "b.parquet"):
        assert everything(load_folder(store / name, OPTIONS)) == sorted(PAIRS)


def test_splits_are_as_given_by_names_of_tables_parts_of_them_or_a_column(store: Path) -> None:
    folder, text = store / "in", rows("{1}\t{0}")
    for name in ("train.tsv", "validation.tsv", "test.tsv", "train50.tsv"):
        written(folder / name, text)
    written(folder / "README.md", "about it")
    dataset = load_folder(folder, OPTIONS)
    assert (len(dataset.train), dataset.validation_rows, len(dataset.test)) == (40, 20, 20)
    assert labelled(dataset.test, dataset.classes) == PAIRS
    assert "tables left out: train50.tsv" in dataset.origin["notes"]
    tested = load_folder(folder, FolderOptions(validation_as="test"))
    assert (len(tested.train), tested.validation_rows, len(tested.test)) == (20, 0, 40)
    for name in ("train-00000-of-00002.csv", "train-00001-of-00002.csv", "test-00000-of-00001.csv"):
        written(store / "parts" / "data" / name, "text,label\n" + rows("{0},{1}"))
    parts = load_folder(store / "parts", OPTIONS)
    assert (len(parts.train), len(parts.test)) == (40, 20)
    lines = [
        f"{text},{label},{['train', 'dev', 'test'][place % 3]}\n" for place, (text, label) in enumerate(PAIRS)
    ]
    column = load_folder(written(store / "all.csv", "text,label,split\n" + "".join(lines)), OPTIONS)
    assert labelled(column.test, column.classes) == PAIRS[2::3]
    assert labelled(column.train, column.classes)[-column.validation_rows :] == PAIRS[1::3]


def test_a_drawn_test_split_is_every_fifth_text_of_a_class_and_at_least_one(store: Path) -> None:
    text = rows("{0},{1}") + "rare one,c\nrare two,c\nrare three,c\n"
    dataset = load_folder(written(store / "a.csv", "text,label\n" + text), OPTIONS)
    expected = [pair for label in "ab" for pair in [p for p in PAIRS if p[1] == label][4::5]]
    assert sorted(labelled(dataset.test, dataset.classes)) == sorted([*expected, ("rare three", "c")])


def test_a_test_split_without_labels_is_left_out(store: Path) -> None:
    written(store / "in" / "train.csv", "id,text,target\n" + rows("1,{0},{1}"))
    written(store / "in" / "test.csv", "id,text\n" + rows("1,{0}"))
    dataset = load_folder(store / "in", OPTIONS)
    assert everything(dataset) == sorted(PAIRS)
    assert "the test split has no labels: left out" in dataset.origin["notes"]


def test_columns_are_as_asked_also_by_number(store: Path) -> None:
    names = written(store / "a.csv", "one,two,three\n" + rows("{0} x,{1},{0}"))
    with pytest.raises(DataError, match=r"one and three may all be the texts; choose one by --text-column"):
        load_folder(names, OPTIONS)
    asked = FolderOptions(sample_column="three", label_column="two")
    assert everything(load_folder(names, asked)) == sorted(PAIRS)
    numbers = written(store / "b.csv", rows("{0} x,{1},{0}"))
    assert everything(load_folder(numbers, FolderOptions(sample_column="3"))) == sorted(PAIRS)


def test_whether_there_is_a_line_of_names_is_told_by_the_first_table(store: Path) -> None:
    lines = rows("{1}\t{0}").splitlines(keepends=True)
    written(store / "in" / "train.tsv", "".join(lines))
    few = written(store / "in" / "test.tsv", "".join(lines[:2]))
    assert open_delimited(few, 10**6, [], None).has_names
    assert len(load_folder(store / "in", OPTIONS).test) == 2


def test_texts_are_in_form_c_and_cut_at_characters(store: Path) -> None:
    text = "".join(f"{label},cafe\u0301 no{place:02}\n" for place, (_, label) in enumerate(PAIRS))
    path = written(store / "a.csv", "label,text\n" + text)
    assert everything(load_folder(path, OPTIONS))[0] == ("caf\u00e9 no00", "a")
    cut = load_folder(path, FolderOptions(longest=4))
    assert {text for text, _ in everything(cut)} == {"caf\u00e9"}
    assert "20 of 20 texts are longer than 4 characters and are cut" in cut.origin["notes"][-1]
    assert cut.form.longest == 4


def test_a_table_is_read_again_only_when_it_has_changed(store: Path) -> None:
    path = written(store / "a.csv", "text,label\n" + rows("{0},{1}"))
    first = load_folder(path, OPTIONS)
    again = load_folder(path, OPTIONS)
    assert (again.digest, again.origin, again.folder) == (first.digest, first.origin, first.folder)
    written(path, "text,label\n" + rows("{0}!,{1}"))
    assert load_folder(path, OPTIONS).digest != first.digest


def test_an_archive_of_tables_is_the_folder_in_it(store: Path) -> None:
    for name in ("train.csv", "test.csv"):
        written(store / "in" / name, "text,label\n" + rows("{0},{1}"))
    digest = load_folder(store / "in", OPTIONS).digest
    for packed in ("zip", "gztar"):
        archive = Path(shutil.make_archive(str(store / f"{packed}-set"), packed, store, "in"))
        assert kind_at(archive, OPTIONS) == "text"
        assert load_folder(archive, OPTIONS).digest == digest
