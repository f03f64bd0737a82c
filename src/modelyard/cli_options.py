"""Options that several commands share, and how they print rows."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from modelyard.terminal import echo

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
SkipOption = Annotated[bool, typer.Option("--skip-unreadable", help="Leave out image files that cannot be read.")]
PRESETS_HELP = "smoke (tries the whole way), sprint (fast), tiny (small), standard or quality (longest)."
LabelsOption = Annotated[int, typer.Option(min=0, help="Train on so few images, drawn from each class; 0: on all.")]


def with_labels(assignments: list[str] | None, labels: int) -> list[str]:
    """The words of `--set` with those of `--labels`."""
    return [*(assignments or []), *([f"data.labels={labels}"] if labels else [])]


def print_rows(rows: list[dict[str, Any]], title: str, as_json: bool) -> None:
    """A table for people, JSON for scripts."""
    from modelyard.tables import print_table

    echo(json.dumps(rows)) if as_json else print_table(rows, title)
