"""Texts are looked at as images are: what was planted is found, what was altered has drifted, and some are
shown.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from modelyard.data.datasets import Dataset
from modelyard.data.packed import pack
from modelyard.home import Home
from modelyard.inspection.drift import compare_profiles
from modelyard.inspection.inspect import describe
from modelyard.inspection.measures import measures_of
from modelyard.inspection.profile import Profile, kept_profile, profile_of, read_profile
from modelyard.inspection.validation import ValidationConfig
from modelyard.samples.symbols import all_texts
from modelyard.sources.sources import load_dataset
from modelyard.steps.freshness import dataset_reference, examine, report
from tests.data.samples import modelyard
from tests.data.texts import text_dataset

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
RULES = ValidationConfig()


def sayings(
    seed: int = 0, count: int = 400, words: list[str] = WORDS, longest: int = 64, form: str = "{}"
) -> Dataset:
    """Texts of 3 to 9 words, each half of them of a class."""
    draw = np.random.default_rng(seed)

    def some(number: int) -> list[tuple[str, int]]:
        return [
            (form.format(" ".join(draw.choice(words, draw.integers(3, 10)))), row % 2)
            for row in range(number)
        ]

    return text_dataset(some(count), some(count // 2), longest=longest)


def test_planted_faults_are_found() -> None:
    train = [
        ("the cat sat", 0), ("the cat sat", 0), ("a dog", 1), ("A  Dog", 1), ("!?", 0), ("", 1), ("好", 0),
        ("x" * 70, 0), ("a dog ran", 1), ("same words", 0),
    ]  # fmt: skip
    test = [("the cat sat", 1), ("THE cat sat", 0), ("new", 1), ("new", 1)]
    found = describe(text_dataset(train, test, validation_rows=0))
    assert found["texts"] == {"train": 10, "test": 4}
    assert found["duplicates in train"] == 1 == found["duplicates in test"]
    assert found["test texts that are also in train"] == 1
    assert found["equal texts of different classes"] == 1
    assert found["examples of those"] == ["train 0 (a), train 1 (a), test 0 (b)"]
    assert found["equal but for case and white space"] == {"train": 1, "test": 1}
    assert found["near-empty texts"] == {"train": 2, "test": 0}
    assert found["as long, so cut or just so long"] == {"train": 1, "test": 0}
    assert found["characters in train"]["most"] == found["characters at most"] == 64
    assert found["examples"][0] == {"class": "a", "sample": "the cat sat"}
    kinds = [line.split(":")[0] for line in found["advice"]]
    assert kinds == ["few", "leaks", "duplicates", "cut", "near-empty", "leaks"]
    assert all("\n" not in line and "image" not in line for line in found["advice"])
    json.dumps(found)


def test_a_given_validation_split_is_looked_for_in_train() -> None:
    train = [("one", 0), ("two", 1), ("three", 0), ("two", 1), ("four", 0)]
    found = describe(text_dataset(train, [("five", 0)], validation_rows=2))
    assert found["validation texts that are also in train"] == 1
    assert "validation texts that are also in train" not in describe(text_dataset(train, [("five", 0)]))


def test_letters_beyond_ascii_are_counted_once_each() -> None:
    looked = measures_of(text_dataset([("", 0)], []).form).look_at(text_dataset([("né 好!", 0)], []).train)
    (length,), (beyond,) = looked.features["lengths"], looked.features["characters beyond ASCII"]
    assert (length, beyond) == (5, 0.4)
    assert "letters" in [
        line.split(":")[0] for line in describe(text_dataset([("好的", 0)] * 40, []))["advice"]
    ]


def test_a_profile_is_kept_and_read_back_as_it_was(tmp_path: Path) -> None:
    home, dataset = Home(tmp_path), sayings()
    made = kept_profile(home, pack(dataset, tmp_path / "packed"))
    assert made == read_profile(home, dataset.digest) == profile_of(dataset)
    assert made.form == dataset.form and made.train.total == 400
    lengths = [len(text) for text in all_texts(dataset.train.samples)]
    expected, counts = np.unique(np.floor(8 * np.log2(1 + np.array(lengths))), return_counts=True)
    assert made.train.histograms["lengths"] == dict(zip(expected.tolist(), counts.tolist(), strict=True))
    place = home.profiles / f"{dataset.digest}.json"
    for altered in ("{}", "[]", '{"schema_version": 1}', place.read_text().replace('"text"', '"sound"')):
        place.write_text(altered)
        assert read_profile(home, dataset.digest) is None


def drifted(before: Profile, now: Profile) -> set[str]:
    return {test.what for test in compare_profiles(before, now) if test.drifted}


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (lambda: sayings(1), set()),
        (lambda: sayings(1, form="{} and so on"), {"lengths"}),
        (lambda: sayings(1, form="{} 1234"), {"digits"}),
        (lambda: sayings(1, form="{}!!!?"), {"punctuation"}),
        (lambda: sayings(1, words=[word.upper() for word in WORDS]), {"capitals"}),
        (lambda: sayings(1, words=["один", "два", "три", "четыре"]), {"characters beyond ASCII", "words"}),
        (lambda: sayings(1, words=[*WORDS[:8], "six", "six", "six", "six"]), {"words"}),
    ],
)
def test_what_was_altered_is_what_drifted(other: Callable[[], Dataset], what: set[str]) -> None:
    found = {name for name in drifted(profile_of(sayings()), profile_of(other())) if name.endswith("train")}
    assert found >= {f"{name}, train" for name in what}
    assert bool(found) == bool(what)


def test_two_halves_of_the_same_texts_rarely_differ() -> None:
    dataset, alarms = sayings(count=600), 0
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(600)
        first, second = (
            profile_of(text_dataset([(texts[row], row % 2) for row in rows], []))
            for texts in [[*all_texts(dataset.train.samples)]]
            for rows in np.array_split(order, 2)
        )
        alarms += any(test.corrected < 0.05 for test in compare_profiles(first, second))
    assert alarms <= 4  # expected: at most 1 of 20


def test_drift_refuses_by_a_rule_of_its_own() -> None:
    before, now = profile_of(sayings()), profile_of(sayings(form="{} and so on"))
    found = report(now, dataset_reference(before), RULES)
    assert "lengths, train drifted by" in found.summary
    assert not [problem for problem in found.problems if "drifted" in problem]
    strict = report(now, dataset_reference(before), RULES.override(["max_symbol_drift=0.2"]))
    assert any("(--set validation.max_symbol_drift=...)" in problem for problem in strict.problems)
    assert not report(
        now, dataset_reference(before), RULES.override(["symbol_drift=0.99", "label_drift=0.99"])
    ).drifted
    assert "| lengths, train | Kolmogorov-Smirnov | 400 / 400 |" in found.markdown()


def test_texts_and_images_under_one_name_are_told_apart(digits: Dataset) -> None:
    found = report(profile_of(sayings()), dataset_reference(profile_of(digits)), RULES)
    assert any("texts of 64, characters at most, 1x28x28 before" in problem for problem in found.problems)
    shorter = report(profile_of(sayings(longest=32)), dataset_reference(profile_of(sayings())), RULES)
    assert any("texts of 32, characters at most, 64 before" in problem for problem in shorter.problems)


def test_a_run_looks_at_its_texts(tmp_path: Path) -> None:
    home, dataset = Home(tmp_path), sayings()
    folder = home.data_step(dataset.digest)
    pack(dataset, folder)
    prepared = {"data_step": folder.name, "data_digest": dataset.digest, "dataset": "sayings"}
    found = examine(home, prepared, RULES)
    assert (found.reference, found.problems) == (None, ())
    again = profile_of(text_dataset([("same", 0)] * 20 + [("same", 1)] * 20, [("same", 0), ("same", 1)]))
    problems = report(again, None, RULES).problems
    assert ["training texts equal" in problems[0], "test texts that are also" in problems[1]] == [True, True]


def test_the_command_line_shows_and_compares_tables_of_texts(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, end in (("first", ""), ("second", " and so on until it ends")):
        texts = [*all_texts(sayings(form="{}" + end).train.samples)]
        lines = [f"{text}\t{'ab'[row % 2]}" for row, text in enumerate(texts)]
        (store / f"{name}.tsv").write_text("\n".join(["text\tlabel", *lines]) + "\n")
    first, second = str(store / "first.tsv"), str(store / "second.tsv")
    assert modelyard("data", "show", first, "--picture", str(store / "page.html"), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["texts"] == {"train": 320, "test": 80} and told["page of examples"].endswith("page.html")
    assert modelyard("data", "show", first) == 0
    assert "examples (texts)" in capsys.readouterr().out
    assert modelyard("data", "drift", first, second, "--set", "validation.max_symbol_drift=0.3") == 0
    out = capsys.readouterr().out
    assert "lengths, train drifted by" in out and "would refuse second: lengths, train drifted" in out
    kept_profile(Home.current(), load_dataset(second))
    assert modelyard("data", "import", second, "--name", "later") == 0
    assert modelyard("data", "drift", first, "later", "--set", "validation.max_symbol_drift=0.3") == 0
    assert "would refuse later: lengths, train drifted" in capsys.readouterr().out


class Cells(HTMLParser):
    """The text of a page's cells, and every tag."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, _attributes: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_of_examples_shows_each_text_and_runs_none(tmp_path: Path) -> None:
    hostile = '<script>alert(1)</script><img src=x onerror=y> & "\u202egnp.\n'
    classes = tuple(f"<b>class {label}</b>" for label in range(120))
    train = [(hostile, 0), *[(f"saying {label}", label) for label in range(120)]]
    dataset = text_dataset(train, [], classes)
    measures_of(dataset.form).draw(dataset, tmp_path / "examples.html")
    page = (tmp_path / "examples.html").read_text()
    found = Cells(page)
    assert {"script", "img", "b"}.isdisjoint(found.tags)
    assert '<script>alert(1)</script><img src=x onerror=y> & "\\u202egnp.\\n' in found.text
    assert found.text.count("<b>class 99</b>") == 1 and "<b>class 100</b>" not in found.text
    assert "20 more classes are not shown" in page
