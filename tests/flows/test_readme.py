"""The commands of the README and of docs/commands.md work, one after the other; every link of every page
leads somewhere.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from modelyard.home import Home
from tests.data.samples import modelyard
from tests.flows.command import ROOT, SMALL, prefect_served
from tests.trained import Trained

README, COMMANDS = ROOT / "README.md", ROOT / "docs" / "commands.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
UNTIL_CTRL_C = ("ui", "serve", "up")


def commands_of(page: Path) -> list[list[str]]:
    """Words of each `modelyard` line, but for those that end with Ctrl-C."""
    lines = re.findall(r"^    modelyard (.*)$", page.read_text(), re.MULTILINE)
    return [
        words
        for words in (shlex.split(line, comments=True) for line in lines)
        if words[0] not in UNTIL_CTRL_C
    ]


def small(words: list[str], *, planned: bool) -> list[str]:
    """A run with one small model, or no more than its plan; other commands as they are."""
    if words[0] != "run":
        return words
    plan = ["--plan"] if planned else []
    return [
        *words,
        "--preset",
        "smoke",
        "-a",
        "rnn",
        *SMALL,
        "--set",
        "gates.every_class=false",
        "--seed",
        "0",
        *plan,
    ]


def ten_shades(folder: Path) -> None:
    """Ten grey pictures of each of ten classes, of the size of digits, whose graph is then translated
    already.
    """
    generator = np.random.default_rng(0)
    for shade in range(10):
        (folder / f"shade-{shade}").mkdir(parents=True)
        for number in range(10):
            pixels_HW = generator.integers(25 * shade, 25 * shade + 20, (8, 8), np.uint8)
            Image.fromarray(pixels_HW).save(folder / f"shade-{shade}" / f"{number}.png")


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_commands_work(
    warm_store: Path, trained: Trained, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The README's runs train what is not trained yet (tests/flows/test_compare.py begins with an empty
    store); those of the other page are planned.
    """
    readme = commands_of(README)
    others = [words for words in commands_of(COMMANDS) if words not in readme]
    assert len(readme) >= 6
    assert len(others) >= 10
    runs = [small(words, planned=False) for words in readme if words[0] == "run"]
    rest = [small(words, planned=True) for words in others]
    home = Home(warm_store / "runs")
    trained.steps(home, "rnn")
    ten_shades(warm_store / "path" / "to" / "images")
    monkeypatch.chdir(warm_store)
    told: dict[str, list[str]] = {}
    with prefect_served(home):
        for words in [*(small(words, planned=False) for words in readme), runs[0], *rest]:
            assert modelyard(*words) == 0, (words, capsys.readouterr())
            out, err = capsys.readouterr()
            assert out.strip(), words
            told.setdefault(shlex.join(words), []).append(err)
    assert (warm_store / "sheet.png").stat().st_size > 10_000
    skipped = [[err.count("done before, skipped") for err in told[shlex.join(words)]] for words in runs]
    assert skipped == [[3, 4], [0]], "the second time nothing is left to do"
    assert not (home.releases / "digits" / "2").exists()
    assert {path.parts[-3] for path in home.releases.glob("*/1/model.onnx")} == {"digits", "images"}


def test_make_knows_what_the_readme_asks_of_it() -> None:
    asked = set(re.findall(r"^    make ([a-z-]+)", README.read_text(), re.MULTILINE))
    assert asked == {"run", "test"}
    assert asked <= set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_the_readme_is_read_in_three_minutes() -> None:
    assert README.stat().st_size <= 6_500


@pytest.mark.parametrize("page", [README, ROOT / "CHANGELOG.md", *DOCS], ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    """Links to files and headings of the project, and names of pages in backticks; addresses of others are
    not asked.
    """
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    dead = [name for name in re.findall(r"`(docs/[\w/.-]+|[\w-]+\.md)`", text) if not lies(page, name)]
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
        path, _, heading = target.partition("#")
        other = page.parent / path if path else page
        if not other.exists() or (heading and heading not in anchors(other)):
            dead.append(target)
    assert dead == []


def lies(page: Path, name: str) -> bool:
    """Whether a page that another names in backticks is there, beside it or from the root."""
    return (page.parent / name).exists() or (ROOT / name).exists()


def test_the_list_of_pages_names_each() -> None:
    listed = (ROOT / "docs" / "README.md").read_text()
    assert [page.name for page in DOCS if f"({page.name})" not in listed] == ["README.md"]
