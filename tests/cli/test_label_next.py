"""`data next`: new samples alone, unsure and unlike ones, from a release alone, as a list and a sheet."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from modelyard.inspection.label_next import draw
from tests.cli.test_cli import run
from tests.serving.bundles import Linear, release
from tests.serving.text_bundles import CLASSES, Counts, release_texts

COUNTS = Counts(longest=1024)
Output = pytest.CaptureFixture[str]
SHAPE = (8, 6, 1)
PICTURES, WRITINGS = "pictures", "writings"


def probabilities(rows: list[list[float]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.array(rows, np.float32)


def test_the_unsure_come_first_and_what_is_alike_is_drawn_once() -> None:
    """Of two groups of unsure copies among many sure ones: one of each group, whatever the seed."""
    sure, unsure = [0.999, 0.001], [0.55, 0.45]
    answers_NK = probabilities([sure] * 50 + [unsure] * 20)
    traits_NF = np.zeros((70, 2), np.float32)
    traits_NF[:50] = np.random.default_rng(0).normal(size=(50, 2))
    traits_NF[50:60, 0], traits_NF[60:, 0] = 5, -5
    for seed in range(20):
        rows_N, scores_N = draw(answers_NK, traits_NF, 2, seed)
        assert sorted(rows_N // 10) == [5, 6]
        assert scores_N[0] > 0.3 and scores_N[1] > 0.3
    again_N, _ = draw(answers_NK, traits_NF, 2, 19)
    np.testing.assert_array_equal(rows_N, again_N)


@pytest.mark.parametrize("answer", [[1.0, 0.0], [0.0, 0.0]])
def test_nothing_is_drawn_twice_though_nothing_differs(answer: list[float]) -> None:
    rows_N, _ = draw(probabilities([answer] * 9), np.ones((9, 3), np.float32), 9, 0)
    assert sorted(rows_N) == [*range(9)]


def test_squares_of_distances_are_those_of_the_gradients() -> None:
    """The score is what the outer products, made one by one, say."""
    generator = np.random.default_rng(3)
    answers_NK = generator.dirichlet(np.ones(4), 30).astype(np.float32)
    traits_NF = generator.normal(size=(30, 5)).astype(np.float32)
    rows_N, scores_N = draw(answers_NK, traits_NF, 6, 1)
    ahead_NK = answers_NK - np.eye(4)[answers_NK.argmax(1)]
    centred_NF = traits_NF - traits_NF.mean(0)
    centred_NF /= np.linalg.norm(centred_NF, axis=1, keepdims=True)
    made_ND = np.einsum("nk,nf->nkf", ahead_NK, centred_NF).reshape(30, -1)
    drawn = [np.zeros_like(made_ND[0])]
    for at, row in enumerate(rows_N):
        nearest = min(np.square(made_ND[row] - one).sum() for one in drawn)
        drawn.append(made_ND[row])
        assert scores_N[at] == pytest.approx(nearest, abs=1e-5)


def picture(path: Path, pixels_HW: np.ndarray[Any, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels_HW).save(path)


@pytest.fixture
def pictures(store: Path) -> Path:
    """Labelled ones, a model of them, and 12 without labels: 2 are known, 2 are equal, one is broken."""
    generator = np.random.default_rng(0)
    made = generator.integers(0, 255, (40, *SHAPE[:2]), np.uint8)
    for row in range(24):
        part = "test" if row < 8 else "train"
        picture(store / "data" / part / "ab"[row % 2] / f"{row}.png", made[row])
    release(store / "runs" / "releases", 1, Linear.seeded(1, SHAPE), "champion")
    for row in range(30, 38):
        picture(store / "new" / "more" / f"{row}.png", made[row])
    for name, row in {"test": 0, "train": 9, "twice": 31}.items():
        picture(store / "new" / f"{name}.png", made[row])
    (store / "new" / "broken.png").write_bytes(b"\x89PNG")
    return store


@pytest.fixture
def writings(store: Path) -> Path:
    """The same of texts, a table and a file of lines."""
    rows = [("ab" * n + "c", "ants" if n % 2 else "bees") for n in range(1, 13)]
    (store / "data.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    release_texts(store / "runs" / "releases", 1, COUNTS, "champion")
    new = ["abc", "dad", "a bad cab", "dad", "=1+1, so", "b" * 30, "中文 d", "cc dd"]
    (store / "new.txt").write_text("\n".join(new))
    return store


def next_of(folder: Path, *words: str) -> int:
    data, new = ("data", "new") if (folder / "data").exists() else ("data.csv", "new.txt")
    return run("data", "next", str(folder / data), "--unlabelled", str(folder / new), *words)


def told(capsys: Output) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_of_pictures_a_list_and_a_contact_sheet(pictures: Path, capsys: Output) -> None:
    out, sheet = pictures / "next.csv", pictures / "next.png"
    assert next_of(pictures, "--count", "5", "--json", "--out", str(out), "--picture", str(sheet)) == 0
    found = told(capsys)
    assert (found["model"], found["candidates"]) == ("fruit@1", 8)
    assert sorted(found["left_out"].values()) == [1, 1, 1]
    assert len({row["image"] for row in found["rows"]}) == 5
    for row in found["rows"]:
        with Image.open(pictures / "new" / row["image"]) as image:
            pixels_HW = np.array(image)
        answer_K = Linear.seeded(1, SHAPE).probabilities(pixels_HW[None, ..., None])[0]
        assert row["probability"] == pytest.approx(answer_K.max(), abs=1e-4)
    with out.open() as stream:
        assert [row["image"] for row in csv.DictReader(stream)] == [row["image"] for row in found["rows"]]
    with Image.open(sheet) as image:
        assert image.width == 10 * 104
    assert next_of(pictures, "--count", "5", "--json") == 0
    assert told(capsys) == found, "the same draw"
    draws = set[str]()
    for seed in range(4):
        assert next_of(pictures, "--count", "5", "--json", "--seed", str(seed)) == 0
        draws.add(json.dumps(told(capsys)["rows"]))
    assert len(draws) > 1
    assert next_of(pictures, "--count", "8") == 0
    printed = capsys.readouterr()
    assert "8 of 8 images to label next, by fruit@1" in printed.out
    assert "1 of 12 left out, unreadable" in printed.err


def test_of_texts_a_list_and_a_page(writings: Path, capsys: Output) -> None:
    out, sheet = writings / "next.csv", writings / "next.html"
    assert next_of(writings, "--count", "6", "--json", "--out", str(out), "--picture", str(sheet)) == 0
    found = told(capsys)
    assert (found["model"], found["candidates"]) == ("letters@1", 6)
    texts = [row["text"] for row in found["rows"]]
    assert sorted(texts) == sorted(["dad", "a bad cab", "=1+1, so", "b" * 30, "中文 d", "cc dd"])
    answers_NK = COUNTS.probabilities(texts)
    assert [row["answer"] for row in found["rows"]] == [CLASSES[at] for at in answers_NK.argmax(1)]
    assert {row["place"] for row in found["rows"]} >= {"new.txt line 3", "new.txt line 7"}
    with out.open() as stream:
        assert [row["text"] for row in csv.DictReader(stream)] == texts
    assert "a bad cab" in sheet.read_text()


@pytest.mark.parametrize("kind", [PICTURES, WRITINGS])
def test_what_cannot_be_is_one_line(
    kind: str, request: pytest.FixtureRequest, capsys: Output, tmp_path: Path
) -> None:
    folder: Path = request.getfixturevalue(kind)
    (tmp_path / "empty").mkdir()
    (tmp_path / "no").touch()
    wrong = {
        ("--count", "20"): "--count: expected at most ",
        ("--model", "none@champion"): "no release 'none@champion'",
        ("--unlabelled", str(tmp_path / "empty")): "empty",
        ("--unlabelled", "nowhere"): "received 'nowhere', which is not there",
        ("--count", "2", "--out", str(tmp_path / "no" / "x.csv")): "--out",
        ("--count", "2", "--picture", str(tmp_path / "no" / "x")): "--picture",
    }
    for words, expected in wrong.items():
        assert next_of(folder, *words) == 2, words
        message = capsys.readouterr().err
        lines = [line for line in message.splitlines() if "NOTE: " not in line]
        assert expected in message and len(lines) == 1, message


def test_a_model_of_another_kind_is_refused(pictures: Path, writings: Path, capsys: Output) -> None:
    for model in ("letters", "fruit"):
        data = "data" if model == "letters" else "data.csv"
        words = ("--unlabelled", str(pictures / "new"), "--model", model)
        assert run("data", "next", str(pictures / data), *words) == 2
        lines = [line for line in capsys.readouterr().err.splitlines() if "NOTE: " not in line]
        assert len(lines) == 1 and f"expected what {model} was trained on" in lines[0], lines


@pytest.mark.parametrize("kind", [PICTURES, WRITINGS])
def test_it_needs_the_release_alone(kind: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(kind)
    data, new = ("data", "new") if kind == PICTURES else ("data.csv", "new.txt")
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'mlflow', 'prefect'))); "
        "from modelyard.cli.app import main; main()"
    )
    words = ["data", "next", str(folder / data), "--unlabelled", str(folder / new), "--count", "2"]
    assert subprocess.run([sys.executable, "-P", "-c", code, *words], check=False).returncode == 0
