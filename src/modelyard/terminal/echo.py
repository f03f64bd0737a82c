"""All that is printed for people passes here: no name of a file or class colours it, moves the cursor or
forges a line.
"""

# rich is imported inside, so that commands without a table start quickly.
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from modelyard.terminal.printable import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


def echo(*lines: object, err: bool = False) -> None:
    """Print each as one line."""
    for line in lines:
        typer.echo(printable(line), err=err)


def console(*, stderr: bool = False, width: int | None = None) -> Console:
    """Where tables and progress are printed; brackets and colons in their text mean themselves."""
    from rich.console import Console

    class Literal(Console):
        def render_str(self, text: str, **settings: Any) -> Text:
            return super().render_str(printable(text), **settings)

    return Literal(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)
