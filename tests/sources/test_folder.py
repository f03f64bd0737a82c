"""Decoding: one pass, one form, the same whatever the block size; what cannot be read is named."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from modelyard.data import datasets, ground
from modelyard.data.options import FolderOptions
from modelyard.errors import DataError
from modelyard.samples import ImageForm
from modelyard.samples.image import FileForm, read_image
from modelyard.sources import folder, sizes
from modelyard.sources.folder import read_folder
from modelyard.sources.listing import list_images
from tests.data.samples import image_folder, modelyard


def read(root: Path, scratch: Path, options: FolderOptions | None = None) -> datasets.Dataset:
    scratch.mkdir()
    return read_folder(list_images(root), options or FolderOptions(), scratch)


def test_pixels_and_labels_are_those_of_the_files(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "My Pets", {"cat": 7, "dog": 6})
    dataset = read(root, tmp_path / "scratch")
    listing = list_images(root)
    for part in ("train", "test"):
        split, files = getattr(dataset, part), getattr(listing, part)
        assert split.labels_N.tolist() == [file.label for file in files]
        for row, file in enumerate(files):
            np.testing.assert_array_equal(split.samples[row, 0], np.asarray(Image.open(root / file.path)))
    assert (dataset.name, dataset.classes) == ("my-pets", ("cat", "dog"))


def test_the_majority_decides_and_a_wrong_guess_costs_a_second_pass_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = image_folder(tmp_path / "images", {"a": 6, "b": 6})
    Image.new("RGB", (30, 20)).save(root / "a" / "0.png")
    calls: list[str] = []

    def counted(path: Path, *how: Any) -> Any:
        calls.append(path.name)
        return read_image(path, *how)

    monkeypatch.setattr(folder, "read_image", counted)
    once = read(root, tmp_path / "once")
    assert (once.form, len(calls)) == (ImageForm(1, 13, 11), 12)
    monkeypatch.setattr(ground, "SAMPLES", 1)  # only a/0.png is looked at
    twice = read(root, tmp_path / "twice")
    assert (twice.digest, len(calls)) == (once.digest, 12 + 24)


def test_options_overrule_the_majority(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "images", {"a": 5, "b": 5})
    assert read(root, tmp_path / "scratch", FolderOptions(8, 9, 3)).form == ImageForm(3, 8, 9)


@pytest.mark.parametrize(
    ("files", "options", "expected"),
    [
        ((1200, 1600), {}, (96, 128)),
        ((1600, 1200), {}, (128, 96)),
        ((129, 129), {}, (128, 128)),
        ((128, 100), {}, (128, 100)),  # not above: as it is
        ((28, 28), {"size_before": (14, 14)}, (28, 28)),
        ((2, 10_000), {}, (2, 128)),  # never below 4 where the files are not
        ((10, 10_000), {}, (4, 128)),
        ((1200, 1600), {"height": 240}, (240, 320)),
        ((1200, 1600), {"width": 64}, (48, 64)),
        ((1200, 1600), {"height": 50, "width": 60}, (50, 60)),
        ((100, 50), {"height": 20}, (20, 50)),
        ((1200, 1600), {"size_before": (64, 64)}, (64, 64)),
        ((1200, 1600), {"size_before": (64, 64), "height": 96}, (96, 128)),
        ((100, 10_000), {"height": 100}, (100, 4096)),
    ],
)
def test_photos_are_brought_to_128_pixels_or_to_what_is_asked(
    files: tuple[int, int], options: dict[str, Any], expected: tuple[int, int]
) -> None:
    chosen = FolderOptions(**options)
    forms = [FileForm(*files, "RGB")] * 3 + [FileForm(9, 9, "RGB")]
    assert sizes.target_form(forms, chosen) == ImageForm(3, *expected)
    is_unasked = max(files) > 128 and not {"height", "width"} <= options.keys()
    [*notes] = sizes.size_notes([FileForm(*files, "RGB")], chosen)
    assert len(notes) == is_unasked
    if notes:
        assert (
            f"{files[1]} x {files[0]} pixels; all are brought to {expected[1]} x {expected[0]} (" in notes[0]
        )
        assert "--set data.height=" in notes[0]


def test_data_show_shows_what_is_trained_on_and_draws_only_when_asked(
    store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = image_folder(store / "photos", {"a": 5, "b": 5}, size=(150, 300))
    monkeypatch.chdir(store)
    cases = {
        (): [1, 64, 128],
        ("--height", "30"): [1, 30, 60],
        ("--set", "data.width=50", "--set", "data.channels=3"): [3, 25, 50],
    }
    for words, shape in cases.items():
        assert modelyard("data", "show", str(root), "--json", *words) == 0
        assert (shown := json.loads(capsys.readouterr().out))["shape (channels, height, width)"] == shape
        assert "300 x 150 pixels" in "".join(shown["origin"]["notes"]) and "contact sheet" not in shown
    assert not list(store.glob("*.png"))
    assert modelyard("data", "show", str(root), "--height", "1") == 2
    assert "height" in capsys.readouterr().err
    assert modelyard("data", "show", str(root), "--picture", str(root / "a" / "0.png" / "sheet.png")) == 2
    assert (message := capsys.readouterr().err).startswith("modelyard: --picture ") and message.count(
        "\n"
    ) == 1


def test_memory_is_bounded_and_blocks_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = image_folder(tmp_path / "images", {"a": 30, "b": 30})
    whole = read(root, tmp_path / "whole")
    monkeypatch.setattr(datasets, "BLOCK_BYTES", 3 * 13 * 11)
    told: list[tuple[str, int, int]] = []
    (tmp_path / "small").mkdir()
    small = read_folder(
        list_images(root), FolderOptions(), tmp_path / "small", lambda *work: told.append(work)
    )
    assert small.digest == whole.digest
    assert [done for what, done, _ in told if "train" in what] == list(range(3, 49, 3))
    assert told[-1] == ("decoding images, test", 12, 12)
    assert max(len(block) for block in small.train.blocks()) == 3


def test_text_called_png_is_listed_and_can_be_skipped(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = image_folder(store / "images", {"a": 9, "b": 9})
    (root / "a" / "note.png").write_text("not an image")
    cut = root / "b" / "3.png"
    cut.write_bytes(cut.read_bytes()[:60])
    assert modelyard("run", "--plan", "--dataset", str(root)) == 2
    message = capsys.readouterr().err
    assert "2 files are not readable images: a/note.png (unknown format), b/3.png (" in message
    assert message.rstrip().endswith("mend them or pass --skip-unreadable")
    assert (
        modelyard("data", "show", str(root), "--skip-unreadable", "--picture", str(store / "sheet.png")) == 0
    )
    shown = capsys.readouterr().out
    assert "unreadable files left out: a/note.png (unknown format)" in shown
    assert "train 15, test 2" in shown


def test_skipping_must_leave_enough_of_each_class(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "images", {"a": 5, "b": 5})
    (root / "b" / "4.png").write_text("the only test image of b")
    with pytest.raises(DataError, match=r"at least 1 images to test on; too few: b \(0\)"):
        read(root, tmp_path / "scratch", FolderOptions(skip_unreadable=True))


def test_a_folder_of_unreadable_files_only_is_refused_even_when_skipping(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "images", {"a": 5, "b": 5})
    for path in root.rglob("*.png"):
        path.write_text("not an image")
    with pytest.raises(DataError, match="10 files are not readable images"):
        read(root, tmp_path / "scratch", FolderOptions(skip_unreadable=True))


@pytest.mark.fault(
    "an image folder holds what is no file", how="FIFO, device, socket and a sparse file of 2 GB called .png"
)
def test_m8_what_is_no_regular_file_is_listed_and_can_be_skipped(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = image_folder(store / "images", {"a": 9, "b": 9})
    os.mkfifo(root / "a" / "fifo.png")
    (root / "a" / "zero.png").symlink_to("/dev/zero")
    (root / "b" / "link.png").symlink_to(root / "b" / "0.png")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(root / "b" / "socket.png"))
    with (root / "b" / "sparse.png").open("wb") as stream:
        stream.write((root / "b" / "0.png").read_bytes()[:33] + b"\x7f\xff\xff\xfftEXt")
        stream.truncate(2_200_000_000)
    assert modelyard("data", "show", str(root), "--picture", str(store / "sheet.png")) == 2
    message = capsys.readouterr().err
    assert (
        "4 files are not readable images: a/fifo.png (not a regular file), a/zero.png (not a regular file)"
        in message
    )
    assert "b/sparse.png (larger than 256000000 bytes)" in message
    assert (
        modelyard("data", "show", str(root), "--skip-unreadable", "--picture", str(store / "sheet.png")) == 0
    )
    assert "train 16, test 3" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name",
    [b"dog\nmodelyard: fine", b"\x1b[31mred\x1b]0;pwn\x07", b"dog\xff", "\u202egod".encode(), b"\x9bx"],
)
def test_l10_l11_a_class_folder_of_controls_is_refused_in_one_line(
    name: bytes, store: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    root = image_folder(store / "images", {"cat": 5, "x": 5})
    os.rename(os.fsencode(root / "x"), os.fsencode(root / "y")[:-1] + name)  # noqa: PTH104 - bytes
    assert modelyard("data", "show", str(root), "--picture", str(store / "sheet.png")) == 2
    message = capfdbinary.readouterr().err
    assert b"expected 1 to 255 printable characters in UTF-8; rename its folder" in message
    assert message.count(b"\n") == 1 and not set(message[:-1]) & {*range(32), 127}


def test_l10_l11_odd_names_of_files_and_of_the_folder_work(
    store: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    root = image_folder(store / "r", {"[red]a[/red]": 6, "\u05d0\u05d1 \u2215 " + "x" * 200: 6})
    for name in (b"\x1b[31m.png", b"a\nb.png", b"\xff.png"):
        Path(os.fsdecode(os.fsencode(root / "[red]a[/red]") + b"/" + name)).write_bytes(b"no image")
    odd = os.fsencode(store) + b"/\xff\x1b[31m"
    os.rename(root, odd)  # noqa: PTH104 - bytes
    for how in ([], ["--skip-unreadable"]):
        assert modelyard("data", "show", os.fsdecode(odd), "--picture", str(store / "sheet.png"), *how) == (
            0 if how else 2
        )
    told = b"".join(capfdbinary.readouterr())
    assert rb"\x1b[31m.png (unknown format)" in told and rb"a\nb.png" in told and rb"\udcff.png" in told
    assert b"[red]a[/red]" in told and not set(told) & ({*range(32), 127} - {10})
