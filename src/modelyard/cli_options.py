"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
SkipOption = Annotated[bool, typer.Option("--skip-unreadable", help="Leave out image files that cannot be read.")]
