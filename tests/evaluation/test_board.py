"""The board and the card show what accuracy hides, stay readable with many classes and bear older bundles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from modelyard.bundle import ALONE, Manifest, read_bundle
from modelyard.evaluation.board import as_markdown, board_markdown, board_row, card_facts
from modelyard.inference.files import released_folder
from modelyard.samples import ImageForm
from modelyard.samples.signature import Signature
from tests.blank import former_store

NEEDED = (
    "validation/accuracy",
    "test/accuracy",
    "test/accuracy_low",
    "test/accuracy_high",
    "test/macro_f1",
    "test/nll",
    "test/ece",
    "test/balanced_accuracy",
    "test/majority_share",
    "onnx/latency_ms_p50",
    "onnx/latency_ms_p99",
    "torch/latency_ms_p50",
    "onnx/images_per_second",
    "onnx/bytes",
    "model/parameters",
    "model/flops",
    "train/seconds",
)


def manifest(classes: tuple[str, ...], **metrics: float) -> Manifest:
    return Manifest(
        model_name="x",
        architecture="cnn",
        classes=classes,
        signature=Signature.of_classifier(ImageForm(1, 3, 5), len(classes)),
        temperature=1.0,
        data_digest="0",
        recipe={},
        metrics=dict.fromkeys(NEEDED, 0.5) | metrics,
        environment={},
        files={},
    )


def recalls(*values: float) -> dict[str, float]:
    return {f"test/recall/{label}": value for label, value in enumerate(values)}


def test_a_row_tells_macro_f1_balanced_accuracy_and_recalls() -> None:
    row = board_row(
        "cnn", 3, manifest(("good", "scratch"), **recalls(1.0, 0.0), **{"test/balanced_accuracy": 0.4567})
    )
    assert (row["macro F1"], row["balanced %"]) == (0.5, 45.67)
    assert row["recall %"] == "scratch 0.0, good 100.0", "the lowest first"


def test_of_many_classes_the_lowest_are_told_by_name() -> None:
    names = tuple(f"species_{label:03}_with_a_rather_long_latin_name" for label in range(250))
    many = manifest(names, **{"test/recall/7": 0.0, "test/recall/200": 0.251, "test/recall/249": 0.5})
    told = board_row("cnn", 1, many)["recall %"]
    assert told.startswith("lowest species_007…") and told.count("…") == 3 and len(told) < 80
    assert "25.1" in told and told.endswith("50.0")
    assert card_facts(many)["classes"] == f"250 classes: {', '.join(names[:3])}, ..."


@pytest.mark.parametrize("count", [2, 30])
def test_a_card_names_each_of_few_classes(count: int) -> None:
    names = tuple(f"c{label}" for label in range(count))
    assert card_facts(manifest(names))["classes"] == ", ".join(names)


def test_a_card_tells_what_guessing_gives() -> None:
    facts = card_facts(manifest(("a", "b"), **recalls(0.25, 1.0), **{"test/majority_share": 0.9677}))
    assert "balanced 50.00 %, guessing 96.77 %" in facts["test accuracy"]
    assert facts["recall %"] == "a 25.0, b 100.0"


def test_names_of_classes_are_text_on_every_page() -> None:
    hostile = manifest(("<b>|*", "[x](http://y)"), **recalls(0.0, 1.0))
    page = board_markdown([board_row("cnn", 1, hostile)]) + as_markdown(card_facts(hostile))
    assert "<b>" not in page and "[x](" not in page


def test_older_bundles_still_have_a_card(tmp_path: Path) -> None:
    bundle = read_bundle(released_folder(former_store(tmp_path), "digits@champion"))
    facts = card_facts(bundle.manifest)
    assert facts["recall %"] == "not measured" and "macro F1 0." in facts["test accuracy"]
    assert facts["classes"] == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert card_facts(replace(bundle.manifest, metrics={}))["recall %"] == "not measured"


SPREAD = {
    "onnx/latency_ms_p50_high": 0.62,
    "onnx/latency_ms_p99_high": 9.0,
    "torch/latency_ms_p50_high": 60.0,
}


@pytest.mark.parametrize(
    ("metrics", "busy"),
    [({}, None), (SPREAD | {ALONE: 1.0}, ""), (SPREAD | {ALONE: 0.0}, ", busy")],
    ids=["older", "alone", "busy"],
)
def test_latencies_have_their_spread_where_it_is_known(metrics: dict[str, float], busy: str | None) -> None:
    made = manifest(("a", "b"), **metrics)
    row = board_row("cnn", 1, made)
    high = [None if busy is None else f"0.500-{high}{busy}" for high in ("0.620", "9.000", "60.000")]
    assert (row["p50 ms"], row["p50 range"], row["p99 ms"]) == (0.5, high[0], 0.5)
    assert (row["library"], row["library p50 ms"], row["library range"]) == ("torch", 0.5, high[2])
    other = {name.replace("torch", "scikit-learn"): value for name, value in made.metrics.items()}
    assert board_row("linear", 1, replace(made, metrics=other)) == {
        **row, "architecture": "linear", "library": "scikit-learn"
    }  # fmt: skip
    told = [f" ({spread})" if spread else "" for spread in high]
    assert card_facts(made)["latency"] == (
        f"p50 0.500 ms{told[0]}, p99 0.500 ms{told[1]} at batch 1 (torch p50 0.500 ms{told[2]})"
    )
