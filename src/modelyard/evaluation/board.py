"""The board, one row for each architecture, and the card of one model: the same in the console, Prefect and
MLflow.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from modelyard.bundle import ALONE, Manifest
from modelyard.evaluation.metrics import RECALL, of_classes
from modelyard.terminal.printable import elided, in_markdown

LATENCY = "/latency_ms_p50"
MOST_NAMED, LONGEST_NAME = 30, 16
"""A card names so many classes, or the first three; the board so many characters of one."""


def board_row(label: str, version: int, manifest: Manifest) -> dict[str, Any]:
    """Column -> value; accuracies and recalls in percent, latencies in milliseconds."""
    metrics, names, library = manifest.metrics, manifest.signature.names, _library(manifest.metrics)
    return {
        "architecture": label,
        "version": version,
        "validation %": round(100 * metrics["validation/accuracy"], 2),
        "test %": round(100 * metrics["test/accuracy"], 2),
        "95 % interval": f"{100 * metrics['test/accuracy_low']:.2f}-"
        f"{100 * metrics['test/accuracy_high']:.2f}",
        "macro F1": round(metrics["test/macro_f1"], 4),
        "balanced %": round(100 * metrics["test/balanced_accuracy"], 2),
        "recall %": _recalls(manifest),
        "NLL": round(metrics["test/nll"], 4),
        "ECE %": round(100 * metrics["test/ece"], 2),
        "p50 ms": round(metrics["onnx/latency_ms_p50"], 3),
        "p50 range": _range(metrics, "onnx/latency_ms_p50"),
        "p99 ms": round(metrics["onnx/latency_ms_p99"], 3),
        "library": library,
        "library p50 ms": round(metrics[library + LATENCY], 3),
        "library range": _range(metrics, library + LATENCY),
        f"{names.many}/s": round(metrics[names.rate]),
        "KB": round(metrics["onnx/bytes"] / 1000),
        "parameters": int(metrics["model/parameters"]),
        "MFLOP": round(metrics["model/flops"] / 1e6, 2),
        "train s": round(metrics["train/seconds"], 1),
    }


def _range(metrics: Mapping[str, float], name: str) -> str | None:
    """From the quietest round's latency to the upper quartile, `busy` beside a training; older bundles have
    none.
    """
    if f"{name}_high" not in metrics:
        return None
    return f"{metrics[name]:.3f}-{metrics[f'{name}_high']:.3f}{'' if metrics[ALONE] else ', busy'}"


def _library(metrics: Mapping[str, float]) -> str:
    """What computed the model before it was exported, as its measured latency is called."""
    measured = [name.removesuffix(LATENCY) for name in metrics if name.endswith(LATENCY)]
    return next((name for name in measured if name != "onnx"), "torch")


def _latency(metrics: Mapping[str, float], name: str) -> str:
    spread = _range(metrics, name)
    return f"{name[-3:]} {metrics[name]:.3f} ms" + (f" ({spread})" if spread else "")


def _recalls(manifest: Manifest) -> str:
    """Of each class, or the lowest of many; nothing of a bundle made before they were kept."""
    kept = of_classes(manifest.metrics, RECALL, manifest.classes)
    told = ", ".join(f"{elided(name, LONGEST_NAME)} {100 * recall:.1f}" for name, recall in kept.items())
    return f"lowest {told}" if told and len(kept) < len(manifest.classes) else told


def card_facts(manifest: Manifest) -> dict[str, str]:
    """What a person asks of one model: where it comes from, how good, how fast, how large."""
    metrics = defaultdict(lambda: math.nan, manifest.metrics)  # a bundle that others made may lack some
    library = _library(manifest.metrics)
    names, signature, taken = manifest.classes, manifest.signature, manifest.signature.input
    samples = manifest.signature.names
    accuracy, low, high = (100 * metrics[f"test/accuracy{end}"] for end in ("", "_low", "_high"))
    return {
        "input": f"{taken.dtype} [batch, {', '.join(map(str, taken.row_shape))}], raw {signature.encoding}",
        f"{samples.given}s": manifest.form.told_of(manifest.reading),
        "classes": ", ".join(names)
        if len(names) <= MOST_NAMED
        else f"{len(names)} classes: {', '.join(names[:3])}, ...",
        "test accuracy": f"{accuracy:.2f} % ({low:.2f}-{high:.2f}), macro F1 {metrics['test/macro_f1']:.4f},"
        f" balanced {100 * metrics['test/balanced_accuracy']:.2f} %, guessing "
        f"{100 * metrics['test/majority_share']:.2f} %",
        "recall %": _recalls(manifest) or "not measured",
        "calibration": f"NLL {metrics['test/nll']:.4f}, Brier {metrics['test/brier']:.4f}, ECE "
        f"{metrics['test/ece']:.2%}"
        f" (before temperature {metrics['test/ece_before_temperature']:.2%})",
        "latency": f"{_latency(metrics, 'onnx/latency_ms_p50')}, "
        f"{_latency(metrics, 'onnx/latency_ms_p99')} at batch 1"
        f" ({library} {_latency(metrics, library + LATENCY)})",
        "size": f"{metrics['model/parameters']:,.0f} parameters, {metrics['model/flops'] / 1e6:.2f} MFLOP and"
        f" {metrics['model/activation_bytes'] / 1000:.0f} KB of activations at batch 1;"
        f" file {metrics['onnx/bytes'] / 1000:.0f} KB",
        "parity": f"same label as the trained model on every test {samples.one}, probabilities within "
        f"{metrics['onnx/max_difference']:.1e}",
        "data": f"digest {manifest.data_digest}",
        "seed": str(manifest.recipe.get("seed", "unknown")),
        "made with": ", ".join(f"{name} {version}" for name, version in manifest.environment.items()),
    }


def as_markdown(facts: Mapping[str, str]) -> str:
    """A card as a table of two columns."""
    return "\n".join(
        [
            "| | |",
            "|---|---|",
            *(f"| {in_markdown(name)} | {in_markdown(fact)} |" for name, fact in facts.items()),
        ]
    )


def table_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same rows for an artifact of Prefect: its page renders Markdown in the cells of a table, too."""
    return [
        {name: in_markdown(value) if isinstance(value, str) else value for name, value in row.items()}
        for row in rows
    ]


def board_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The board as a table."""
    columns = list(rows[0])
    lines = [
        [in_markdown(name) for name in columns],
        ["---"] * len(columns),
        *(["-" if row[name] is None else in_markdown(row[name]) for name in columns] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
