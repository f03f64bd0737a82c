"""The board: one row for each architecture, the same columns in the console, Prefect and MLflow."""

from __future__ import annotations

from typing import Any


def board_row(label: str, version: int, metrics: dict[str, float]) -> dict[str, Any]:
    """Column -> value; accuracies in percent, latencies in milliseconds."""
    return {
        "architecture": label,
        "version": version,
        "validation %": round(100 * metrics["validation/accuracy"], 2),
        "test %": round(100 * metrics["test/accuracy"], 2),
        "95 % interval": f"{100 * metrics['test/accuracy_low']:.2f}-{100 * metrics['test/accuracy_high']:.2f}",
        "NLL": round(metrics["test/nll"], 4),
        "ECE %": round(100 * metrics["test/ece"], 2),
        "p50 ms": round(metrics["onnx/latency_ms_p50"], 3),
        "p99 ms": round(metrics["onnx/latency_ms_p99"], 3),
        "torch p50 ms": round(metrics["torch/latency_ms_p50"], 3),
        "images/s": round(metrics["onnx/images_per_second"]),
        "KB": round(metrics["onnx/bytes"] / 1000),
        "parameters": int(metrics["model/parameters"]),
        "MFLOP": round(metrics["model/flops"] / 1e6, 2),
        "train s": round(metrics["train/seconds"], 1),
    }
