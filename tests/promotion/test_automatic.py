"""Who leads, and why: judged on a real store with hand-made models whose answers are known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from modelyard.data.datasets import Dataset
from modelyard.data.packed import pack
from modelyard.evaluation.significance import mcnemar_p_value
from modelyard.home import Home
from modelyard.promotion import automatic
from modelyard.promotion.judging import judge
from modelyard.promotion.limits import GatesConfig
from modelyard.promotion.manual import promote_version
from modelyard.promotion.pairs import Pair
from modelyard.promotion.predictions import pair_up
from modelyard.registry import versions as registry
from modelyard.releases.ledger import AliasMove, read_ledger
from modelyard.samples.reading import Reading
from tests.blank import Templates
from tests.bundles import lit_dataset
from tests.registry.versions import a_version

GATES = GatesConfig()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, templates: Templates) -> Iterator[Home]:
    yield templates.store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def data(home: Home) -> tuple[Dataset, Path]:
    dataset, folder = lit_dataset(), home.steps / "data"
    pack(dataset, folder)
    return dataset, folder


def leader(home: Home, alias: str = "champion") -> int:
    return int((home.releases / "lit" / f"{alias}.alias").read_text())


def ledger(home: Home) -> list[AliasMove]:
    return read_ledger(home.releases / "lit").moves


def test_promotion_follows_objective_and_the_paired_test(home: Home, data: tuple[Dataset, Path]) -> None:
    dataset, folder = data
    first = a_version(home, "first", fooled=False, validation=0.90, digest=dataset.digest)
    assert automatic.promote(home, [first], folder, GATES).why == "first champion"

    fooled = a_version(home, "fooled", fooled=True, validation=0.95, digest=dataset.digest)
    verdict = automatic.promote(home, [fooled], folder, GATES)
    assert not verdict.promoted
    lost_N = np.arange(len(dataset.test)) < 40
    wrong_N = lost_N & (dataset.test.labels_N != 0)
    overall = verdict.judgements[0].find("overall")
    assert overall.value == pytest.approx(mcnemar_p_value(~wrong_N, np.ones_like(wrong_N)))
    assert "significantly worse on test" in verdict.why
    assert leader(home) == first.number
    assert leader(home, "cnn") == fooled.number, "the architecture's alias follows validation alone"

    weaker = a_version(home, "weaker", fooled=False, validation=0.80, digest=dataset.digest)
    assert (
        automatic.promote(home, [weaker], folder, GATES).why
        == f"not better on validation than version {first.number}"
    )

    better = a_version(home, "better", fooled=False, validation=0.97, digest=dataset.digest)
    assert automatic.promote(home, [better], folder, GATES).promoted
    assert (leader(home), leader(home, "previous"), leader(home, "cnn")) == (
        better.number,
        first.number,
        better.number,
    )
    moves = [(move.alias, move.before, move.to) for move in ledger(home)]
    assert moves[-3:] == [("cnn", fooled.number, better.number), ("champion", first.number, better.number),
                          ("previous", None, first.number)]  # fmt: skip


def test_a_champion_of_other_data_is_asked_about_the_new_test_images(
    home: Home, data: tuple[Dataset, Path]
) -> None:
    champion = leader(home)
    changed = lit_dataset(images=120, brightness=150)
    folder = home.steps / "changed"
    pack(changed, folder)
    fooled = a_version(home, "fooled on changed", fooled=True, validation=0.99, digest=changed.digest)
    verdict = automatic.promote(home, [fooled], folder, GATES)
    assert (verdict.promoted, verdict.judgements[0].find("overall").evidence["champion_accuracy"]) == (
        False,
        1.0,
    )
    assert leader(home) == champion
    sound = a_version(home, "sound on changed", fooled=False, validation=0.70, digest=changed.digest)
    verdict = automatic.promote(home, [sound], folder, GATES)
    assert verdict.promoted and "trained on changed data, not significantly worse" in verdict.why
    assert leader(home) == sound.number


@pytest.mark.fault("an alias move is cut short", how="the state that a kill between its parts leaves")
def test_a_move_that_was_cut_short_is_completed_by_the_next(tmp_path: Path, templates: Templates) -> None:
    home, dataset = templates.store(tmp_path / "store"), lit_dataset()
    pack(dataset, home.steps / "data")
    for name, validation in (("first", 0.90), ("better", 0.97)):
        version = a_version(home, name, fooled=False, validation=validation, digest=dataset.digest)
        automatic.promote(home, [version], home.steps / "data", GATES)
    champion = next(version for version in registry.versions(home, "lit") if "champion" in version.aliases)
    before = ledger(home)
    (home.releases / "lit" / "champion.alias").write_text("1\n")
    assert champion.number != 1
    automatic.promote(home, [champion], home.steps / "data", GATES)
    assert leader(home) == champion.number
    assert ledger(home) == before, "the move was recorded already"


@pytest.fixture(scope="module")
def led(tmp_path_factory: pytest.TempPathFactory, templates: Templates) -> Home:
    """A store whose champion knows the classes a to e."""
    home, dataset = templates.store(tmp_path_factory.mktemp("led")), lit_dataset()
    pack(dataset, home.steps / "data")
    first = a_version(home, "first", fooled=False, validation=0.90, digest=dataset.digest)
    assert automatic.promote(home, [first], home.steps / "data", GATES).promoted
    return home


@pytest.mark.parametrize(
    ("classes", "height", "why"),
    [
        ("abcd", 3, "classes of version 1 are gone: e"),
        (
            "kl",
            3,
            "classes of version 1 are gone: a, b, c, d, e; "
            "none is left, a model of its own takes --name NAME",
        ),
        ("abcde", 4, "images of 1x4x5, channels x height x width, those of version 1 are of 1x3x5"),
    ],
    ids=["removed", "others", "another size"],
)
def test_what_cannot_be_compared_moves_no_alias_and_names_the_command(
    led: Home, classes: str, height: int, why: str
) -> None:
    key, names = f"{classes}-{height}", tuple(classes)
    changed = lit_dataset(classes=names, height=height)
    pack(changed, led.steps / key)
    made = [
        a_version(
            led,
            f"{key}-{seed}",
            fooled=False,
            validation=0.99 - seed / 100,
            digest=changed.digest,
            classes=names,
            height=height,
        )
        for seed in range(2)
    ]
    before = ledger(led)
    verdict = automatic.promote(led, made, led.steps / key, GATES)
    by_hand = f"to promote it by hand: modelyard models promote lit@{made[0].number}"
    assert verdict.why == f"cannot be compared with the champion: {why}; {by_hand}"
    assert (verdict.promoted, verdict.refused) == (False, True)
    assert (ledger(led), leader(led), leader(led, "cnn")) == (before, 1, 1)


@pytest.mark.parametrize("reading", [Reading(fit="pad"), Reading(white=4095)])
def test_images_that_are_read_in_another_way_are_not_compared(led: Home, reading: Reading) -> None:
    changed = replace(lit_dataset(images=60), reading=reading)
    pack(changed, led.steps / f"read-{reading.fit}-{reading.white}")
    made = a_version(
        led, f"made-{reading.fit}-{reading.white}", fooled=False, validation=0.99, digest=changed.digest
    )
    first = registry.versions(led, "lit")[0]
    why = pair_up(led, made, first, led.steps / f"read-{reading.fit}-{reading.white}")
    assert isinstance(why, str) and reading.told in why and "those of version" in why


@pytest.mark.parametrize(("classes", "fooled"), [("edcba", True), ("abcdef", False), ("fabcde", True)])
def test_classes_that_were_added_or_put_in_another_order_are_compared_where_both_know_them(
    led: Home, classes: str, fooled: bool
) -> None:
    key, names = f"{classes}-{fooled}-data", tuple(classes)
    changed = lit_dataset(images=240, hard=60, classes=names)
    pack(changed, led.steps / key)
    made = a_version(
        led, f"{classes}-{fooled}", fooled=fooled, validation=0.99, digest=changed.digest, classes=names
    )
    first = registry.versions(led, "lit")[0]
    pair = pair_up(led, made, first, led.steps / key)
    assert isinstance(pair, Pair)
    known_N = changed.test.labels_N != changed.classes.index("f") if "f" in classes else np.ones(240, bool)
    assert pair.rows_N.tolist() == np.flatnonzero(known_N).tolist()
    candidate_N, champion_N = pair.correct()
    wrong_N = fooled & (np.arange(240) < 60) & (changed.test.labels_N != 0)
    assert champion_N.all() and candidate_N.tolist() == (~wrong_N[known_N]).tolist()
    overall = judge(led, made, first, led.steps / key, GATES).find("overall")
    assert overall.passed is not fooled
    assert ("on test images of the 5 classes that the champion knows (" in overall.reason) == ("f" in classes)


def test_a_promotion_by_hand_is_what_later_versions_are_compared_with(
    tmp_path: Path, templates: Templates
) -> None:
    home, dataset = templates.store(tmp_path / "store"), lit_dataset()
    others = lit_dataset(classes=("k", "l"))
    pack(dataset, home.steps / "data")
    pack(others, home.steps / f"data-{others.digest[:16]}")
    folder = home.steps / f"data-{others.digest[:16]}"
    first = a_version(home, "first", fooled=False, validation=0.9, digest=dataset.digest)
    automatic.promote(home, [first], home.steps / "data", GATES)
    second = a_version(home, "second", fooled=False, validation=0.9, digest=others.digest, classes=("k", "l"))
    assert not automatic.promote(home, [second], folder, GATES).promoted
    assert promote_version(home, "lit@2") == "champion of lit: version 1 -> 2, chosen by hand"
    third = a_version(home, "third", fooled=False, validation=0.95, digest=others.digest, classes=("k", "l"))
    assert automatic.promote(home, [third], folder, GATES).promoted
    assert (leader(home), leader(home, "cnn")) == (3, 3)


def test_what_accuracy_hides_is_judged_from_the_bundle(tmp_path: Path, templates: Templates) -> None:
    home, dataset = templates.store(tmp_path / "store"), lit_dataset()
    pack(dataset, home.steps / "data")
    cases = {
        "majority": ({"test/majority_share": 0.97}, GATES, "accuracy: 0.9700 on test, guessing gives 0.9700"),
        "silent": (
            {"validation/never_given/count": 1.0, "validation/never_given/3": 6.0},
            GATES,
            "never gives d on validation",
        ),
        "low": (
            {"test/recall/1": 0.2, "test/recall/0": 0.9},
            GatesConfig(min_recall=0.5),
            "0.2000 on test (b)",
        ),
        "older": ({}, GATES, "first champion"),
    }
    for key, (metrics, gates, why) in cases.items():
        version = a_version(home, key, fooled=False, validation=0.97, digest=dataset.digest, metrics=metrics)
        verdict = automatic.promote(home, [version], home.steps / "data", gates)
        assert why in verdict.why
        assert verdict.promoted == (key == "older")
