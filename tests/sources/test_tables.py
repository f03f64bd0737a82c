"""Labels from tables beside the pictures; a table reaches nothing but them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from modelyard.data.options import FolderOptions
from modelyard.errors import DataError
from modelyard.sources import tables
from modelyard.sources.containers import list_plain
from modelyard.sources.listing import Listing, list_images

NAMES = [f"{index:02}" for index in range(12)]


def pictures(root: Path, folder: str = "images", names: list[str] = NAMES) -> Path:
    (root / folder).mkdir(parents=True, exist_ok=True)
    for name in names:
        (root / folder / f"{name}.png").touch()
    return root


def labels(listing: Listing) -> dict[str, str]:
    """File name -> class, of all splits."""
    return {Path(file.path).stem: listing.classes[file.label] for file in (*listing.train, *listing.test)}


EXPECTED = {name: "cat" if int(name) % 2 else "dog" for name in NAMES}
ROWS = [(f"{name}.png", label) for name, label in EXPECTED.items()]


@pytest.mark.parametrize(
    ("name", "header", "row"),
    [
        ("labels.csv", "filename,label", "{0}.png,{1}"),
        ("labels.csv", "\ufefflabel;image", '{1};"{0}.png"'),
        ("all.tsv", "Image Path\tClass_Name", "images/{0}.png\t{1}"),
        ("labels.csv", "id,breed", "{0},{1}"),
        ("labels.csv", "ID,file,target,note", "7,./images/{0}.png,{1},x"),
        ("labels.csv", "id,name of it,label", "{2},{0}.png,{1}"),
        ("labels.csv", "id,image_id,label", "{2},{0},{1}"),
        ("labels.csv", "photo_of_it,what", "images\\{0}.png,{1}"),
        ("images/labels.csv", "img,species", "{0}.png,{1}"),
        ("labels.csv", "path,label", "/home/me/set/images/{0}.png,{1}"),
        ("labels.csv", " \npath,label", "C:\\me\\images\\{0}.png,{1}"),
        ("about/labels.csv", "file_name,category", "../images/{0}.png,{1}"),
        ("labels.jsonl", "", '{{"file_name": "images/{0}.png", "label": "{1}", "text": "x"}}'),
        ("images/metadata.jsonl", "", '{{"file_name": "{0}.png", "label": "{1}", "more": [1]}}'),
    ],
)
def test_tables_in_the_usual_ways(name: str, header: str, row: str, tmp_path: Path) -> None:
    pictures(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    ids = iter(reversed(NAMES))
    (tmp_path / name).write_text(
        "\n".join(filter(None, [header, *(row.format(*pair, next(ids)) for pair in EXPECTED.items())]))
    )
    listings = [list_images(tmp_path)]
    if not name.startswith("about"):
        listings.append(list_plain(tmp_path / name, FolderOptions()))
    for listing in listings:
        assert labels(listing) == EXPECTED
        assert "read as: table" in listing.notes[0]


def test_integer_labels_stay_names_and_rows_carry_splits(tmp_path: Path) -> None:
    splits = ["Training", "validation", "TEST"] * 4
    rows = [f"{name},{int(name) % 2},{split}" for name, split in zip(NAMES, splits, strict=True)]
    (pictures(tmp_path) / "labels.csv").write_text("\n".join(["image_id,label,subset", *rows]))
    listing = list_images(tmp_path)
    assert listing.classes == ("0", "1")
    assert [Path(file.path).stem for file in listing.train if file.is_validation] == ["04", "10", "01", "07"]
    assert sorted(Path(file.path).stem for file in listing.test) == NAMES[2::3]


@pytest.mark.parametrize("where", ["train.csv test.csv", "train/metadata.jsonl test/metadata.jsonl"])
def test_splits_are_those_of_tables_and_folders(where: str, tmp_path: Path) -> None:
    pictures(pictures(tmp_path, "train", NAMES[:8]), "test")
    for table, names in zip(where.split(), (NAMES[:8], NAMES), strict=True):
        if table.endswith("csv"):
            text = "\n".join(["id,label", *(f"{name},{EXPECTED[name]}" for name in names)])
        else:
            text = "\n".join(
                json.dumps({"file_name": f"{name}.png", "label": EXPECTED[name]}) for name in names
            )
        (tmp_path / table).write_text(text)
    listing = list_images(tmp_path)
    assert {file.path.partition("/")[0] for file in listing.train} == {"train"}
    assert {file.path.partition("/")[0] for file in listing.test} == {"test"}
    assert (len(listing.train), len(listing.test)) == (8, 12)


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("../outside.png,cat", "rows that name no picture in the folder: 1 (../outside.png"),
        ("/etc/hostname,cat", "rows that name no picture in the folder: 1 (/etc/hostname"),
        ("link,cat", "rows that name no picture in the folder: 1 (link"),
        ("gone.png,cat", "rows that name no picture in the folder: 1 (gone.png"),
        ("00.png,", "rows that have no label: 1 (00.png"),
        ("00.png,cat", "rows that give a picture another label or split: 1 (00.png"),
    ],
)
def test_rows_at_fault_are_named_or_skipped(row: str, fault: str, tmp_path: Path) -> None:
    root = pictures(tmp_path / "in")
    (tmp_path / "outside.png").touch()
    (root / "images" / "link.png").symlink_to(tmp_path / "outside.png")
    (root / "labels.csv").write_text("\n".join(["file,label", *map(",".join, ROWS), row, ""]))
    with pytest.raises(DataError) as caught:
        list_images(root)
    assert fault in str(caught.value) and str(caught.value).endswith(
        "correct the table or pass --skip-unreadable"
    )
    listing = list_images(root, skip_unreadable=True)
    assert fault in listing.notes[1]
    assert labels(listing) == {
        name: label for name, label in EXPECTED.items() if "another" not in fault or name != "00"
    }


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("text,label\nhello,good\n", "names no pictures beside or below it, and no column is clearly texts"),
        (
            "file,width,height\n00.png,3,4\n",
            "no column of labels (columns: file, width, height); expected one called label",
        ),
        ("", "names no pictures"),
        (
            "00.png,cat\n01.png,dog\n",
            "begins with a picture (00.png, cat); expected a first line of column names",
        ),
        ("file,label\n00.png,caf\udce9\n", "not in UTF-8"),
        ("file,label\n" + "x" * 200_000, "cannot be read as a table (field larger than field limit"),
        ("file,label\n" + "x" * 1_000_000, "a line of more than 1,000,000 characters"),
    ],
)
def test_other_tables_are_refused_and_do_not_disturb_class_folders(
    content: str, expected: str, tmp_path: Path
) -> None:
    table = pictures(tmp_path) / "labels.csv"
    table.write_text(content, errors="surrogateescape")
    for given in (tmp_path, table):
        with pytest.raises(DataError) as caught:
            list_plain(given, FolderOptions())
        assert expected in str(caught.value) and str(caught.value).startswith(str(tmp_path))
    pictures(tmp_path, "other")
    listing = list_images(tmp_path)
    assert listing.classes == ("images", "other")
    assert any(note.startswith("not used: labels.csv: ") for note in listing.notes)


@pytest.mark.parametrize("more", [0, 40])
def test_a_table_goes_before_names_of_files_and_is_not_ignored_for_them(more: int, tmp_path: Path) -> None:
    names = [f"{letter}_{number}" for letter in "xy" for number in range(6)]
    table = (
        pictures(pictures(tmp_path, "train", names), "test", [f"x_{number:03}" for number in range(more)])
        / "labels.csv"
    )
    rows = ["id,label", *(f"train/{name}.png,{'left' if name in names[:6] else 'right'}" for name in names)]
    table.write_text("\n".join(rows))
    assert list_images(tmp_path).classes == ("left", "right")
    table.write_text("\n".join([*rows, "gone,left"]))
    with pytest.raises(
        DataError,
        match=r"name no picture in the folder: 1 \(gone\); correct the table .* take the table away",
    ):
        list_images(tmp_path)


@pytest.mark.parametrize("line", ["[1, 2]", "{", '{"a":' * 2000, '{"file_name": NaN}'])
def test_lines_that_are_no_objects_are_refused(line: str, tmp_path: Path) -> None:
    (pictures(tmp_path) / "labels.jsonl").write_text(line)
    with pytest.raises(DataError, match=r"labels\.jsonl: cannot be read as a table"):
        list_images(tmp_path)


def test_rows_and_bytes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = pictures(tmp_path) / "labels.csv"
    table.write_text("\n".join(["file,label", *map(",".join, ROWS)]))
    for limit, expected in (("MOST_ROWS", "more than 5 rows"), ("MOST_BYTES", "larger than")):
        with monkeypatch.context() as patch, pytest.raises(DataError, match=expected):
            patch.setattr(tables, limit, 5)
            list_images(tmp_path)


def test_a_changed_label_changes_the_fingerprint(tmp_path: Path) -> None:
    table = pictures(tmp_path) / "labels.csv"
    seen = set()
    for swap in (False, True):
        rows = [(name, {"cat": "dog", "dog": "cat"}[label] if swap else label) for name, label in ROWS]
        table.write_text("\n".join(["file,label", *map(",".join, rows)]))
        seen.add(list_images(tmp_path).fingerprint)
    assert len(seen) == 2
