"""All that is printed for people passes here: no name of a file or class colours it, moves the cursor or forges a line."""

from __future__ import annotations

from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from modelyard.text import printable


def echo(*lines: object, err: bool = False) -> None:
    """Print each as one line."""
    for line in lines:
        typer.echo(printable(line), err=err)


class Terminal(Console):
    """Where tables, progress and lines without wrapping are printed; brackets and colons mean themselves."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **settings)

    def render_str(self, text: str, **settings: Any) -> Text:  # type: ignore[override]
        return super().render_str(printable(text), **settings)
