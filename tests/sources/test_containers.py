"""Archives and parquet: read as the folder that they hold, held to bounds before anything is written."""

from __future__ import annotations

import gzip
import io
import json
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from modelyard.data.options import FolderOptions
from modelyard.errors import DataError
from modelyard.samples import ImageForm
from modelyard.sources import archives, pictures
from modelyard.sources.cache import load_folder
from modelyard.sources.containers import name_of
from tests.data.samples import image_folder, modelyard

OPTIONS = FolderOptions()


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def pack_tar(folder: Path, target: Path, mode: str) -> Path:
    with tarfile.open(target, mode) as archive:  # type: ignore[call-overload]
        archive.add(folder, arcname=".")
    return target


def pack_zip(folder: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files_of(folder):
            archive.write(path, f"{folder.name}/{path.relative_to(folder)}")
        archive.writestr("__MACOSX/._x", b"")
    return target


@pytest.fixture
def pets(store: Path) -> Path:
    return image_folder(store / "pets", {"Train/cat": 5, "Train/dog": 5, "Test/cat": 2, "Test/dog": 2})


@pytest.mark.parametrize(
    "ending", ["zip", "tar", "tar.gz", "tgz", "tar.bz2", "tar.xz", "lying alone in a folder"]
)
def test_an_archive_is_the_folder_in_it(
    ending: str, pets: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (store / "given").mkdir()
    target = store / "given" / f"My Pets.{'zip' if 'alone' in ending else ending}"
    given = (
        pack_zip(pets, target)
        if target.suffix == ".zip"
        else pack_tar(pets, target, f"w:{ending.partition('.')[2]}")
    )
    given = given.parent if "alone" in ending else given
    (plain := load_folder(pets, OPTIONS)), (read := load_folder(given, OPTIONS))
    assert read.digest == plain.digest
    assert read.name == ("given" if "alone" in ending else "my-pets")
    assert read.origin["notes"][:2] == [
        f"unpacked: {target.name}",
        "read as: class folders below Test/, Train/",
    ]
    assert not list((store / "cache" / "folders").glob("*.partial"))
    monkeypatch.setattr(pictures, "list_unpacked", None)  # nothing is unpacked twice
    assert load_folder(given, OPTIONS).origin == read.origin


def test_archives_of_splits_and_a_table_beside_an_archive(store: Path) -> None:
    given = store / "given"
    given.mkdir()
    for split, count in (("train", 5), ("test", 2)):
        pack_tar(image_folder(store / split, {"a": count, "b": count}), given / f"{split}.tar", "w")
    assert [len(part) for part in (load_folder(given, OPTIONS).train, load_folder(given, OPTIONS).test)] == [
        10,
        4,
    ]
    beside = store / "beside"
    beside.mkdir()
    pack_zip(image_folder(store / "images", {"all": 12}), beside / "images.zip")
    table = beside / "labels.csv"
    table.write_text("id,label\n" + "".join(f"{index},{'ab'[index % 2]}\n" for index in range(12)))
    assert load_folder(beside, OPTIONS).classes == ("a", "b")
    table.write_text("a,b\nc,d\n")
    with pytest.raises(DataError, match=r"labels\.csv: names no pictures"):
        load_folder(beside, OPTIONS)


def member(name: str, **facts: object) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        info = tarfile.TarInfo(name)
        for fact, value in facts.items():
            setattr(info, fact, value)
        with tarfile.open(path, "w:gz") as archive:
            archive.addfile(info, io.BytesIO(bytes(info.size)))

    return write


def zip_member(
    name: str, mode: int = stat.S_IFREG, flags: int = 0, method: int = zipfile.ZIP_DEFLATED, times: int = 1
) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        info = zipfile.ZipInfo(name)
        info.external_attr, info.compress_type = mode << 16, method
        with zipfile.ZipFile(path, "w") as archive:
            for _ in range(times):
                archive.writestr(info, bytes(100))
        if flags:
            content = bytearray(path.read_bytes())
            content[content.index(b"PK\x01\x02") + 8] |= flags
            path.write_bytes(content)

    return write


def long_name(path: Path) -> None:
    head = tarfile.TarInfo("././@LongLink")
    head.type, head.size = tarfile.GNUTYPE_LONGNAME, 8 * 2**30 - 1
    path.write_bytes(gzip.compress(head.tobuf() + bytes(100_000)))


def long_name_after_a_file(path: Path) -> None:
    first, head = tarfile.TarInfo("a/0.png"), tarfile.TarInfo("././@LongLink")
    first.size, head.size, head.type = 3 * 2**20, 2 * 2**20, tarfile.GNUTYPE_LONGNAME
    path.write_bytes(gzip.compress(first.tobuf() + bytes(3 * 2**20) + head.tobuf() + bytes(4 * 2**20)))


def cut(path: Path) -> None:
    zip_member("a/0.png")(path)
    path.write_bytes(path.read_bytes()[:-30])


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("name", "spoil", "expected"),
    [
        ("x.tar.gz", member("../../out.png", size=3), "leads outside"),
        ("x.tar.gz", member("/tmp/out.png", size=3), "leads outside"),
        (
            "x.tar.gz",
            member("a/l", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
            "is a link, a device or sparse",
        ),
        (
            "x.tar.gz",
            member("a/l", type=tarfile.LNKTYPE, linkname="a/0.png"),
            "is a link, a device or sparse",
        ),
        ("x.tar.gz", member("a/d", type=tarfile.CHRTYPE), "is a link, a device or sparse"),
        (
            "x.tar.gz",
            member("a/0.png", size=50_000_000),
            "unpacks to more than 0.01 GB; allow more by data.max_bytes",
        ),
        ("x.tar.gz", long_name, "a head that is too large"),
        ("x.tar.gz", long_name_after_a_file, "a head that is too large"),
        ("x.tar.gz", member("a/" + "x" * 2000, size=3), "a name of more than 1,000 characters"),
        ("x.tar.gz", lambda path: path.write_bytes(b"\x1f\x8b junk"), "cannot be unpacked"),
        ("x.tar", lambda path: path.write_bytes(b""), "cannot be unpacked"),
        ("x.zip", zip_member("../out.png"), "leads outside"),
        ("x.zip", zip_member("a\\..\\..\\out.png"), "leads outside"),
        ("x.zip", zip_member("C:/out.png"), "leads outside"),
        ("x.zip", zip_member("a/l", mode=stat.S_IFLNK), "is a link or a device"),
        ("x.zip", zip_member("a/0.png", flags=1), "is encrypted"),
        ("x.zip", zip_member("a/0.png", method=zipfile.ZIP_BZIP2), "packed by another method"),
        ("x.zip", zip_member("a/0.png", times=2), "is in it twice"),
        ("x.zip", cut, "cannot be unpacked"),
        (
            "x.zip",
            zip_member("a/images.zip"),
            "1 files left out: .zip 1, unpack or give archives and parquet by themselves)",
        ),
        ("x.zip", zip_member("a/readme.txt"), "holds no images (1 files left out: .txt 1)"),
    ],
)
def test_hostile_archives_are_refused_and_write_nothing_outside(
    name: str, spoil: Callable[[Path], None], expected: str, store: Path
) -> None:
    (store / "given").mkdir()
    spoil(store / "given" / name)
    before = files_of(store)
    with pytest.raises(DataError) as caught:
        load_folder(store / "given" / name, FolderOptions(max_bytes=10_000_000))
    assert expected in str(caught.value)
    assert str(caught.value).startswith(str(store / "given" / name)) and "\n" not in str(caught.value)
    assert [path for path in files_of(store) if path.suffix != ".lock"] == before


def test_heads_are_held_to_while_writing(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zip_member("a/0.png")(store / "x.zip")
    content = bytearray((store / "x.zip").read_bytes())
    at = content.index(b"PK\x01\x02") + 24
    content[at : at + 4] = (50).to_bytes(4, "little")  # it unpacks to 100
    (store / "x.zip").write_bytes(content)
    with pytest.raises(DataError, match="cannot be unpacked"):
        load_folder(store / "x.zip", OPTIONS)
    monkeypatch.setattr(archives, "MOST_MEMBERS", 1)
    pack_zip(image_folder(store / "pets", {"a": 5}), store / "y.zip")
    with pytest.raises(DataError, match="more than 1 files, or"):
        load_folder(store / "y.zip", OPTIONS)


def write_parquet(path: Path, rows: int, *, names: list[str] | None = None, struct: bool = True) -> None:
    from pyarrow import Table, parquet

    samples = image_folder(path.parent / f"of {path.name}", {"x": rows}, seed=rows)
    content = [picture.read_bytes() for picture in sorted(samples.rglob("*.png"))]
    table = Table.from_pydict(
        {
            "image": [{"bytes": data, "path": None} for data in content] if struct else content,
            "label": [row % 2 for row in range(rows)],
        }
    )
    if names:
        features = {"label": {"names": names, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    parquet.write_table(table, path, row_group_size=7)
    for picture in samples.rglob("*.png"):
        picture.unlink()


@pytest.mark.parametrize(("names", "struct"), [(["cat", "dog"], True), (None, False)])
def test_parquet_of_images(names: list[str] | None, struct: bool, store: Path) -> None:
    (store / "set" / "data").mkdir(parents=True)
    write_parquet(store / "set" / "data" / "train-00000-of-00002.parquet", 20, names=names, struct=struct)
    write_parquet(store / "set" / "data" / "train-00001-of-00002.parquet", 11, names=names, struct=struct)
    write_parquet(store / "set" / "data" / "test-00000-of-00001.parquet", 4, names=names, struct=struct)
    dataset = load_folder(store / "set", OPTIONS)
    assert dataset.classes == tuple(names or ("0", "1"))
    assert [np.bincount(split.labels_N).tolist() for split in (dataset.train, dataset.test)] == [
        [16, 15],
        [2, 2],
    ]
    assert dataset.form == ImageForm(1, 13, 11)
    with pytest.raises(DataError, match=r"more than 1e-06 GB; allow more by data\.max_bytes"):
        load_folder(store / "set", FolderOptions(max_bytes=1000))


def test_parquet_in_a_lone_folder_with_other_columns_and_splits_in_one(store: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    (store / "set" / "plain").mkdir(parents=True)
    (store / "set" / "README.md").touch()
    content = [path.read_bytes() for path in files_of(image_folder(store / "of", {"x": 20}))]
    columns = {
        "Img": pyarrow.array(content, pyarrow.large_binary()),
        "Label": ["a", "b"] * 10,
        "Split": ["test"] * 4 + ["train"] * 16,
    }
    parquet.write_table(pyarrow.table(columns), store / "set" / "plain" / "all.parquet")
    dataset = load_folder(store / "set", OPTIONS)
    assert (dataset.classes, len(dataset.train), len(dataset.test)) == (("a", "b"), 16, 4)


def test_other_parquet_is_refused(store: Path) -> None:
    from pyarrow import Table, parquet

    parquet.write_table(Table.from_pydict({"width": [0.5], "bytes": [b""]}), store / "x.parquet")
    with pytest.raises(DataError, match=r"columns width, bytes\); expected a column image"):
        load_folder(store / "x.parquet", OPTIONS)
    for image, label in (({"bytes": None, "path": "0.png"}, 0), (b"x", [0])):
        parquet.write_table(Table.from_pydict({"image": [image], "label": [label]}), store / "x.parquet")
        with pytest.raises(DataError, match="a row without bytes of a picture, or of more than one label"):
            load_folder(store / "x.parquet", OPTIONS)
    (store / "x.parquet").write_bytes(b"PAR1 no parquet PAR1")
    with pytest.raises(DataError, match="cannot be read as parquet"):
        load_folder(store / "x.parquet", OPTIONS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("s3://bucket/pets", "s3:// is not read; download it first"),
        ("hf://user/set", "hf:// is not read"),
        ("https://a.example/x.zip", "https:// is not read"),
        ("x.npz", "is an array"),
        ("x.pkl", "is a pickle"),
        ("x.sqlite", "is a database"),
        ("x.txt", "is text"),
        ("x.png", "is one picture"),
        ("x", "is a file"),
        ("x.7z", "is an archive of another kind"),
        ("x.mp4", "is a video"),
        ("x.heic", "is a picture of a kind that is not read"),
        ("pets", "is a zip archive; call it pets.zip"),
    ],
)
def test_what_is_not_read_is_told(
    name: str, expected: str, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (store / "given").mkdir()
    if ":" not in name:
        zip_member("x")(store / "given" / name) if name == "pets" else (store / "given" / name).write_text(
            "x"
        )
    for command in (("data", "show"), ("data", "import"), *([("run", "--dataset")] if ":" in name else [])):
        assert modelyard(*command, name if ":" in name else str(store / "given" / name)) == 2
        message = capsys.readouterr().err
        assert expected in message and "expected a folder of class folders, a zip or tar archive" in message
        assert message.count("\n") == 1


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["images/0.png", "annotations/instances_train.json"], "COCO annotations"),
        (["train/0.png", "valid/1.png", "train/_annotations.coco.json"], "COCO annotations"),
        (["JPEGImages/0.png", "Annotations/0.xml"], "Pascal VOC annotations"),
        (["images/train/0.png", "labels/train/0.txt", "data.yaml"], "YOLO boxes"),
        (
            ["train/images/0.png", "train/labels/0.txt", "valid/images/0.png", "valid/labels/0.txt"],
            "YOLO boxes",
        ),
    ],
)
def test_labels_of_other_kinds_are_told(files: list[str], expected: str, store: Path) -> None:
    for name in files:
        (store / "given" / name).parent.mkdir(parents=True, exist_ok=True)
        (store / "given" / name).touch()
    with pytest.raises(DataError, match=f"it looks like {expected}, which is not read: sort the images"):
        load_folder(store / "given", OPTIONS)


def test_names_of_sources(store: Path) -> None:
    names = {
        "pets.zip": "pets",
        "a.b.tar.gz": "a.b",
        "x.csv": "x",
        "hymenoptera-224.zip": "hymenoptera-224",
        "photos": "photos",
    }
    assert {name: name_of(store / name) for name in names} == names
