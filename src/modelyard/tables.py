"""Results as a person reads them in a terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from modelyard.board import card_facts
from modelyard.bundle import MODEL_FILE, Manifest

WORDS = ("architecture", "name", "aliases", "class", "step", "state", "why", "what", "test", "kind", "title")
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
    """One released model."""
    name = f"{manifest.model_name}, version {folder.name}, {manifest.architecture}"
    facts = {"model": name, "file": str(folder / MODEL_FILE)} | card_facts(manifest)
    console = Console(highlight=False, markup=False)
    for title, fact in facts.items():
        console.print(f"{title:>14}  {fact}", soft_wrap=True)
