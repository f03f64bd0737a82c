"""The board and the card say how far latencies can be trusted, and show bundles that do not know it."""

from __future__ import annotations

import pytest

from modelyard.board import ALONE, board_row, card_facts
from modelyard.bundle import Manifest

OLD = {
    "validation/accuracy": 0.9, "test/accuracy": 0.9, "test/accuracy_low": 0.8, "test/accuracy_high": 0.95, "test/nll": 0.1,
    "test/ece": 0.01, "onnx/latency_ms_p50": 0.1, "onnx/latency_ms_p99": 0.25, "torch/latency_ms_p50": 0.5,
    "onnx/images_per_second": 5.0, "onnx/bytes": 1e3, "model/parameters": 7.0, "model/flops": 1e6, "train/seconds": 2.0,
}  # fmt: skip
NEW = OLD | {"onnx/latency_ms_p50_high": 0.12, "onnx/latency_ms_p99_high": 9.0, "torch/latency_ms_p50_high": 60.0}


def card(metrics: dict[str, float]) -> str:
    manifest = Manifest(
        model_name="m", architecture="cnn", classes=("a", "b"), image_shape=(3, 3, 1), temperature=1.0, data_digest="0" * 64,
        recipe={}, metrics=metrics, environment={}, files={},
    )  # fmt: skip
    return card_facts(manifest)["latency"]


@pytest.mark.parametrize(
    ("metrics", "onnx", "torch"),
    [
        (OLD, None, None),
        (NEW | {ALONE: 1.0}, "0.100-0.120", "0.500-60.000"),
        (NEW | {ALONE: 0.0}, "0.100-0.120, busy", "0.500-60.000, busy"),
    ],
)
def test_latencies_have_their_spread_where_it_is_known(metrics: dict[str, float], onnx: str | None, torch: str | None) -> None:
    row = board_row("cnn", 1, metrics)
    assert (row["p50 ms"], row["p50 range"], row["p99 ms"]) == (0.1, onnx, 0.25)
    assert (row["torch p50 ms"], row["torch range"]) == (0.5, torch)
    p99 = onnx and onnx.replace("0.100-0.120", "0.250-9.000")
    told = [f" ({spread})" if spread else "" for spread in (onnx, p99, torch)]
    assert card(metrics) == f"p50 0.100 ms{told[0]}, p99 0.250 ms{told[1]} at batch 1 (torch eager p50 0.500 ms{told[2]})"
