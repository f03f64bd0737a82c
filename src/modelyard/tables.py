"""Results as a person reads them in a terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from modelyard.bundle import Manifest

WORDS = ("architecture", "name", "aliases", "class", "step", "state", "why")
"""Columns of text; all others are numbers and stand to the right."""


def print_table(rows: Sequence[Mapping[str, Any]], title: str) -> None:
    """Rows with equal keys as one table on stdout."""
    table = Table(title=title)
    for column in rows[0]:
        table.add_column(column, justify="left" if column in WORDS else "right")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def print_board(result: Mapping[str, Any]) -> None:
    """The outcome of `compare` and what to do next. Narrow terminals get one column for each architecture."""
    rows, dataset = result["board"], result["dataset"]
    title = f"{dataset}: every architecture on the same test images"
    if sys.stdout.isatty() and Console().width < 170:
        rows = [{"": key, **{row["architecture"]: row[key] for row in rows}} for key in list(rows[0])[1:]]
    print_table(rows, title)
    champion = "promoted" if result["promoted"] else "champion unchanged"
    Console().print(
        f"{champion}: {result['why']}\nnext: modelyard ui | modelyard models show {dataset}"
        f" | modelyard predict IMAGE --model {dataset}@champion",
        highlight=False, soft_wrap=True,
    )  # fmt: skip


def print_card(manifest: Manifest, folder: Path) -> None:
    """One released model: where it comes from, how good, how fast, how large."""
    metrics = manifest.metrics
    accuracy, low, high = (100 * metrics[f"test/accuracy{end}"] for end in ("", "_low", "_high"))
    facts = {
        "model": f"{manifest.model_name}, version {folder.name}, {manifest.architecture}",
        "file": f"{folder / 'model.onnx'} ({metrics['onnx/bytes'] / 1000:.0f} KB)",
        "input": f"uint8 [batch, {', '.join(map(str, manifest.image_shape))}], raw pixels",
        "classes": ", ".join(manifest.classes),
        "test accuracy": f"{accuracy:.2f} % ({low:.2f}-{high:.2f}), macro F1 {metrics['test/macro_f1']:.4f}",
        "calibration": f"NLL {metrics['test/nll']:.4f}, Brier {metrics['test/brier']:.4f}, ECE {metrics['test/ece']:.2%}"
        f" (before temperature {metrics['test/ece_before_temperature']:.2%})",
        "latency": f"p50 {metrics['onnx/latency_ms_p50']:.3f} ms, p99 {metrics['onnx/latency_ms_p99']:.3f} ms at batch 1",
        "size": f"{metrics['model/parameters']:,.0f} parameters, {metrics['model/flops'] / 1e6:.2f} MFLOP and"
        f" {metrics['model/activation_bytes'] / 1000:.0f} KB of activations an image",
        "data": f"digest {manifest.data_digest}",
        "seed": str(manifest.recipe["seed"]),
        "made with": ", ".join(f"{name} {version}" for name, version in manifest.environment.items()),
    }
    console = Console(highlight=False, markup=False)
    for name, fact in facts.items():
        console.print(f"{name:>14}  {fact}", soft_wrap=True)
