"""What a class may be called."""

from __future__ import annotations

from collections.abc import Iterable

from modelyard.errors import DataError
from modelyard.terminal.printable import printable

LONGEST_CLASS = 255
"""Characters; no folder has a longer name."""


def check_classes(names: Iterable[str]) -> None:
    """Raises: DataError for a class name that cannot be shown as it is: it goes into manifests, tables, pages
    and metrics.
    """
    for name in names:
        if not name or len(name) > LONGEST_CLASS or printable(name) != name:
            raise DataError(
                f"class name {name[:LONGEST_CLASS]!r}: expected 1 to {LONGEST_CLASS} printable "
                "characters in UTF-8;"
                " rename its folder or its line in the list of names"
            )
