"""`modelyard predict`: what is asked, what is answered, and what it says of the rest."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from modelyard.console.tables import closing_lines
from modelyard.errors import DataError
from modelyard.home import Home
from modelyard.inference import files as predict
from modelyard.inference.doubts.images import OPPOSITE_BORDERS
from modelyard.inference.files import predict_files
from modelyard.inference.reading.images import find_pictures
from modelyard.samples.reading import Reading
from tests.cli.test_cli import run
from tests.serving.bundles import CLASSES, Linear, release, reseal

SHAPE = (7, 5, 3)
MODEL = Linear.seeded(4, SHAPE)
Output = pytest.CaptureFixture[str]


@pytest.fixture
def home(store: Path) -> Home:
    """With one model, `fruit`."""
    release(store / "runs" / "releases", 1, MODEL, "champion")
    return Home.current()


def picture(path: Path, seed: int) -> list[float]:
    """A file, and the right answer to it."""
    pixels_HWC = np.random.default_rng(seed).integers(0, 255, SHAPE, np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels_HWC).save(path, "PNG")
    return [float(p) for p in MODEL.probabilities(pixels_HWC[None])[0]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures, and what is none or nobody's business."""
    for number, name in enumerate(("b/2.png", "a.PNG", "b/1.jpg")):
        picture(tmp_path / "in" / name, number)
    for name in (".hidden.png", ".cache/x.png", "b/@eaDir/x.png", "__MACOSX/x.png", "#recycle/x.png"):
        picture(tmp_path / "in" / name, 9)
    for name in ("labels.csv", "b/x.heic", "README"):
        (tmp_path / "in" / name).write_text("x")
    return tmp_path / "in"


def test_a_folder_is_every_picture_below_it_in_order(folder: Path) -> None:
    refused: list[DataError] = []
    files, others = find_pictures([folder, folder / ".hidden.png", folder / "nothing"], refused.append)
    assert [str(file.relative_to(folder)) for file in files] == [
        "a.PNG",
        "b/1.jpg",
        "b/2.png",
        ".hidden.png",
        "nothing",
    ]
    assert sorted(others) == ["README", "b/x.heic", "labels.csv"]
    assert refused == []
    (folder / "empty").mkdir()
    assert find_pictures([folder / "empty"], refused.append)[0] == []
    assert "empty: holds no pictures; expected PNG, JPEG" in str(refused[0])


@pytest.mark.parametrize("most_bytes", [1, 2 * 7 * 5 * 3, 10**6])
def test_each_file_gets_its_own_answer_whatever_the_batches(
    home: Home, tmp_path: Path, most_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "BATCH_BYTES", most_bytes)
    files = [tmp_path / f"{number}.png" for number in range(7)]
    right_NK = [picture(file, number) for number, file in enumerate(files)]
    files[3].write_text("no picture")
    refused: list[DataError] = []
    rows = list(predict_files(home, "", files, refused.append))
    assert [row["image"] for row in rows] == [str(file) for file in files if file != files[3]]
    np.testing.assert_allclose(
        [list(row["probabilities"].values()) for row in rows], np.delete(right_NK, 3, axis=0), atol=1e-5
    )
    for row in rows:
        assert tuple(row["probabilities"]) == CLASSES and row["ms"] > 0
        assert row["probability"] == row["probabilities"][row["label"]] == max(row["probabilities"].values())
    assert [str(error).split(":")[0] for error in refused] == [str(files[3])]
    with pytest.raises(DataError, match=r"3\.png: not a readable image"):
        list(predict_files(home, "", files))


def test_the_rest_is_answered_and_the_exit_code_says_so(home: Home, folder: Path, capsys: Output) -> None:
    bad, good = folder / "bad.jpg", folder / "a.PNG"
    bad.write_bytes(b"")
    for words, code, answers, refusals in (
        ([good, bad, folder / "b" / "2.png", folder / "nothing.png"], 1, 2, 2),
        ([folder], 1, 3, 1),
        ([folder / "b"], 0, 2, 0),
        ([bad], 2, 0, 1),
        ([folder / ".cache" / "nowhere", "x" * 300], 2, 0, 2),
    ):
        assert run("predict", *map(str, words)) == code
        told = capsys.readouterr()
        lines = [line for line in told.err.splitlines() if "not a readable image" in line]
        assert (len(told.out.splitlines()), len(lines)) == (answers, refusals)
        assert "Traceback" not in told.err
    (folder / "empty").mkdir()
    assert run("predict", str(folder / "empty")) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert run("predict", str(good), "-m", "mnist@champion") == 2
    assert run("predict", str(good), "--csv", "--json") == 2
    assert capsys.readouterr().out == ""


def test_json_has_every_probability_and_csv_and_text_as_many_as_asked_for(
    home: Home, tmp_path: Path, capsys: Output
) -> None:
    files = [tmp_path / 'a, "b".png', tmp_path / "c.png"]
    right_NK = np.array([picture(file, number) for number, file in enumerate(files)])
    names = [str(file) for file in files]
    best_NK = [[CLASSES[k] for k in np.argsort(-right_K)] for right_K in right_NK]

    assert run("predict", *names, "--json") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [set(row) for row in rows] == [{"image", "label", "probability", "ms", "probabilities"}] * 2
    assert [row["label"] for row in rows] == [best_K[0] for best_K in best_NK]
    np.testing.assert_allclose(
        [[row["probabilities"][name] for name in CLASSES] for row in rows], right_NK, atol=1e-5
    )

    assert run("predict", *names, "--csv", "--top", "2") == 0
    table = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [list(row) for row in table] == [
        ["image", "label", "probability", "label_2", "probability_2", "warnings"]
    ] * 2
    assert [[row["image"], row["label"], row["label_2"]] for row in table] == [
        [name, *best_K[:2]] for name, best_K in zip(names, best_NK, strict=True)
    ]
    assert [float(row["probability_2"]) for row in table] == pytest.approx(
        [sorted(p)[-2] for p in right_NK], abs=1e-5
    )

    for top, shown in ((), 1), (("--top", "3"), 3), (("--top", "99"), 4):
        assert run("predict", names[1], *top) == 0
        parts = capsys.readouterr().out.split("  ")
        assert parts[1:-1:2] == best_NK[1][:shown]
        assert parts[2] == f"{right_NK[1].max():.1%}"


def test_inverted_blank_and_transparent_pictures(home: Home, tmp_path: Path, capsys: Output) -> None:
    """B10: what looks wrong is answered and said, once for each file; `--invert` mends it."""
    (folder := tmp_path / "in").mkdir()
    metrics = {OPPOSITE_BORDERS: 0.0}
    reseal(home.releases / "fruit" / "1", reading=Reading(ground=(0, 0, 0)), metrics=metrics)
    drawn_HW = np.zeros(SHAPE[:2], np.uint8)
    drawn_HW[2:5, 1:4] = 255
    clear = [np.dstack([np.full_like(drawn_HW, colour)] * 3 + [drawn_HW]) for colour in (255, 0)]
    pictures = {
        "1-plain": (drawn_HW, ""),
        "2-white-on-clear": (clear[0], ""),
        "3-inverted": (255 - drawn_HW, "looks inverted"),
        "4-black-on-clear": (clear[1], "is blank: black"),
        "5-page": (np.full_like(drawn_HW, 255), "is blank: white"),
    }
    for name, (pixels, _) in pictures.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")

    def asked(*options: str) -> tuple[list[dict[str, Any]], list[str]]:
        assert run("predict", str(folder), *options) == 0
        told = capsys.readouterr()
        lines = [line for line in told.err.splitlines() if line.startswith("WARNING")]
        if "--csv" in options:
            return list(csv.DictReader(told.out.splitlines())), lines
        return [json.loads(line) for line in told.out.splitlines()], lines

    rows, lines = asked("--json")
    texts = [row.get("warnings", [""]) for row in rows]
    assert [
        found[0] == "" if not text else text in found[0]
        for found, (_, text) in zip(texts, pictures.values(), strict=True)
    ]
    assert all(len(found) == 1 for found in texts)
    assert lines == [
        f"WARNING: {row['image']}: {found[0]}" for row, found in zip(rows, texts, strict=True) if found[0]
    ]
    assert [row["warnings"] for row in asked("--csv")[0]] == [found[0] for found in texts]

    plain, turned = rows[0]["probabilities"], asked("--json", "--invert")[0]
    assert turned[2]["probabilities"] == turned[3]["probabilities"] == rows[1]["probabilities"] == plain
    assert ["warnings" in row for row in turned] == [True, True, False, False, True]


def test_next_names_only_what_exists(home: Home, capsys: Output, tmp_path: Path) -> None:
    picture(tmp_path / "FILE", 1)
    (home.releases / "fruit" / "champion.alias").rename(tmp_path / "alias")
    told = closing_lines(home, "fruit@1", promoted=False, why="refused by its gates")
    assert told[0] == "no champion: refused by its gates"
    assert "@champion" not in told[1] and "modelyard models promote fruit@1 --force" in told[1]
    _works(told[1], tmp_path)
    assert run("predict", str(tmp_path / "FILE"), "--model", "fruit") == 2
    assert "fruit has no champion; expected a version, such as fruit@1" in capsys.readouterr().err
    (tmp_path / "alias").rename(home.releases / "fruit" / "champion.alias")
    told = closing_lines(home, "fruit@1", promoted=False, why="not better")
    assert told[0] == "champion unchanged: not better"
    _works(told[1], tmp_path)
    assert (
        closing_lines(home, "fruit@1", promoted=True, why="first champion")[0] == "promoted: first champion"
    )


def _works(line: str, folder: Path) -> None:
    """The commands that look, as the line has them."""
    words = [command.split()[1:] for command in line.removeprefix("next: ").split(" | ")]
    asked = [[str(folder / word) if word == "FILE" else word for word in command] for command in words]
    for command in (
        command for command in asked if command[:2] == ["models", "show"] or command[0] == "predict"
    ):
        assert run(*command) == 0
