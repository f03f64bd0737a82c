"""Drift is found where it was made and nowhere else; data that changed for the worse are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from modelyard.data.datasets import Dataset, Split, make_dataset
from modelyard.data.packed import open_packed, pack
from modelyard.home import Home
from modelyard.inspection.drift import compare_classes, compare_profiles
from modelyard.inspection.profile import (
    Histogram,
    Profile,
    SplitProfile,
    kept_profile,
    profile_of,
    read_profile,
)
from modelyard.inspection.validation import ValidationConfig
from modelyard.steps.freshness import dataset_reference, report
from tests.blank import former_store

Pixels = NDArray[np.uint8]
RULES = ValidationConfig()


@pytest.fixture(scope="module")
def before(digits: Dataset) -> Profile:
    return profile_of(digits)


def altered(
    digits: Dataset,
    pixels: Callable[[Pixels], Pixels] = lambda images: images,
    keep: Callable[[NDArray[np.int64]], NDArray[np.bool_]] = lambda labels: np.ones(len(labels), bool),
    classes: tuple[str, ...] = (),
) -> Profile:
    """The digits with other pixels, fewer rows or other class names."""
    parts = []
    for split in (digits.train, digits.test):
        kept = keep(split.labels_N)
        parts.append(Split(pixels(split.in_memory[kept]), split.labels_N[kept]))
    return profile_of(make_dataset("digits", parts[0], parts[1], classes or digits.classes))


def split_of(counts: tuple[int, ...], means: Histogram, deviations: Histogram) -> SplitProfile:
    histograms = {"image means": means, "image deviations": deviations}
    return SplitProfile(counts=counts, histograms=histograms, draws={}, overall={}, empty=0, duplicates=0)


def whole(classes: tuple[str, ...], train: SplitProfile, test: SplitProfile) -> Profile:
    sides = {"channels": 1, "height": 1, "width": 1}
    return Profile(
        name="x", digest="", classes=classes, kind="image", sides=sides, train=train, test=test, leaks=0
    )


def test_a_profile_says_what_numpy_says_and_is_kept(digits: Dataset, before: Profile, tmp_path: Path) -> None:
    images, home = digits.train.in_memory, Home(tmp_path)
    assert before.train.overall["mean pixel by channel"] == pytest.approx([images.mean()], abs=1e-4)
    assert before.train.overall["deviation by channel"] == pytest.approx([images.std()], abs=1e-4)
    expected = np.unique((images.mean((1, 2, 3)) * 4).astype(int), return_counts=True)
    assert before.train.histograms["image means"] == dict(
        zip(*(part.tolist() for part in expected), strict=True)
    )
    deviations = before.train.histograms["image deviations"]
    assert sum(deviations.values()) == before.train.total == len(digits.train)
    assert (
        kept_profile(home, pack(digits, tmp_path / "packed")) == before == read_profile(home, digits.digest)
    )
    (home.profiles / f"{digits.digest}.json").write_text("{")
    assert read_profile(home, digits.digest) is None
    assert kept_profile(home, digits) == before == read_profile(home, digits.digest)


def test_a_profile_that_an_earlier_commit_kept_is_still_read(tmp_path: Path) -> None:
    home = former_store(tmp_path)
    (place,) = home.profiles.iterdir()
    assert json.loads(place.read_text())["schema_version"] == 1
    (folder,) = home.steps.glob("data-*")
    assert read_profile(home, place.stem) == profile_of(open_packed(folder))


def test_two_halves_of_the_same_images_rarely_differ(digits: Dataset) -> None:
    """At the level 0.05 about one test in twenty says so; Holm's correction keeps all together below it."""
    images, labels = digits.train.in_memory, digits.train.labels_N
    p_values, families = [], 0
    for seed in range(60):
        order = np.random.default_rng(seed).permutation(len(labels))
        first, second = (
            profile_of(
                make_dataset(
                    "half", Split(images[rows], labels[rows]), Split(images[:0], labels[:0]), digits.classes
                )
            )
            for rows in np.array_split(order, 2)
        )
        tests = compare_profiles(first, second)
        p_values += [test.p_value for test in tests]
        families += any(test.corrected < 0.05 for test in tests)
    assert 0.01 < np.mean(np.array(p_values) < 0.05) < 0.09
    assert 0.4 < np.median(p_values) < 0.65
    assert families <= 8  # expected: at most 3 of 60


def test_rare_classes_are_judged_by_random_tables() -> None:
    """With 40 classes of three images the approximation is not used, and the false alarm rate holds."""

    def of(counts: NDArray[np.int64]) -> Profile:
        split = split_of(tuple(counts.tolist()), {0: 1}, {0: 1})
        none = split.model_copy(update={"counts": (0,) * len(counts)})
        names = tuple(map(str, range(len(counts))))
        return whole(names, split, none)

    draw = np.random.default_rng(0)

    def drawn() -> Profile:
        return of(draw.multinomial(120, [1 / 40] * 40))

    found = [compare_profiles(drawn(), drawn())[0].p_value for _ in range(60)]
    assert 0.005 < np.mean(np.array(found) < 0.05) < 0.12
    other = compare_profiles(of(np.full(40, 3)), of(np.repeat([6, 0], 20)))[0]
    assert (other.test, other.drifted) == ("chi-square, 9,999 random tables", True)
    assert other.p_value == 0.0001


def test_what_was_altered_is_what_drifted(digits: Dataset, before: Profile) -> None:
    def drifted(now: Profile) -> set[str]:
        return {test.what.partition(",")[0] for test in compare_profiles(before, now) if test.drifted}

    def brighter(images: Pixels) -> Pixels:
        return images + np.minimum(20, 255 - images)

    draw = np.random.default_rng(0)
    assert drifted(before) == set()
    assert "image means" in drifted(altered(digits, brighter))
    assert "label shares" not in drifted(altered(digits, brighter))
    assert drifted(altered(digits, keep=lambda labels: (labels != 1) | (draw.random(len(labels)) < 0.3))) == {
        "label shares"
    }
    assert drifted(altered(digits, lambda images: images // 2 + 40)) >= {"image deviations"}
    (slight,) = [
        test
        for test in compare_profiles(before, altered(digits, lambda images: np.maximum(images, 1)))
        if test.what == "image means, train"
    ]
    assert not slight.drifted


def test_significance_alone_is_no_drift() -> None:
    """A million images show a difference of a hundredth, which nobody needs to hear of."""
    split = split_of((500_000, 500_000), {100: 10**6}, {0: 10**6})
    first = whole(("a", "b"), split, split)
    moved = split_of((510_000, 490_000), {100: 990_000, 101: 10_000}, {0: 10**6})
    labels, means, _ = compare_profiles(first, first.model_copy(update={"train": moved}))[:3]
    assert labels.corrected < 1e-30 and means.corrected < 1e-30
    assert [labels.effect, means.effect] == pytest.approx([0.01, 0.01], abs=1e-4)
    assert not labels.drifted and not means.drifted


def test_class_names_are_followed() -> None:
    assert compare_classes("abc", "abd").renamed == (("c", "d"),)
    assert compare_classes("abc", "ab").removed == ("c",)
    assert compare_classes("ab", "abc").added == ("c",)
    assert compare_classes("abc", "acb").reordered


@pytest.mark.parametrize(
    ("how", "problem", "way_out"),
    [
        (
            {"keep": lambda labels: labels != 9, "classes": tuple("012345678")},
            "classes gone: 9",
            "allow_removed_classes=true",
        ),
        ({"classes": tuple("012345678x")}, "classes renamed: 9 to x", "allow_removed_classes=true"),
        ({"classes": tuple("0123456798")}, "another order", "allow_removed_classes=true"),
        (
            {"keep": lambda labels: np.arange(len(labels)) % 4 == 0},
            "training images are left",
            "min_size_share=0.2",
        ),
        ({"pixels": lambda images: images[:, :, 2:]}, "images of 1x26x28", "allow_other_shape=true"),
        ({"pixels": lambda images: images * 0}, "equal to another", "max_duplicate_share=1"),
        ({"pixels": lambda images: images * 0}, "also in train", "max_leak_share=1"),
        (
            {"keep": lambda labels: (labels != 3) | (labels.cumsum() < 50)},
            "fewer than 10 training",
            "min_images_per_class=2",
        ),
    ],
)
def test_unfit_data_are_refused_until_a_rule_is_changed(
    digits: Dataset, before: Profile, how: dict[str, object], problem: str, way_out: str
) -> None:
    now = altered(digits, **how)  # type: ignore[arg-type]
    found = report(now, dataset_reference(before), RULES)
    (text,) = [text for text in found.problems if problem in text]
    assert f"--set validation.{way_out.partition('=')[0]}=" in text
    accepting = report(now, dataset_reference(before), RULES.override([way_out]))
    assert not [text for text in accepting.problems if problem in text]


def test_drift_refuses_only_where_a_limit_is_set(digits: Dataset, before: Profile) -> None:
    now = altered(digits, lambda images: images // 2 + 90)
    found = report(now, dataset_reference(before), RULES)
    assert found.drifted and not found.problems
    assert "data changed since digits: image means, train drifted by" in found.summary
    assert "| image means, train | Kolmogorov-Smirnov |" in found.markdown()
    hostile = replace(
        found,
        problems=("<b>x</b>\n# y",),
        rows=({"what": "added", "before": "", "now": "[x](javascript:y)|<img>"},),
    )
    assert r"\[x\](javascript:y)\|&lt;img&gt;" in hostile.markdown()  # L12
    assert r"- &lt;b&gt;x&lt;/b&gt;\\n# y" in hostile.markdown() and "<" not in hostile.markdown()
    strict = report(now, dataset_reference(before), RULES.override(["max_pixel_drift=0.2"]))
    assert (
        "image means, train drifted by" in strict.problems[0]
        and "validation.max_pixel_drift" in strict.problems[0]
    )
    assert not report(before, dataset_reference(before), RULES).changed
