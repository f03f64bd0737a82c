"""A copy of MLflow's database before it is changed, and the way back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from modelyard.errors import StoreError
from modelyard.home import Home


def copy_database(home: Home, label: str) -> Path:
    """`mlflow.db.<label>.bak`, by SQLite's own backup: whole also where others write meanwhile. Raises:
    StoreError.
    """
    copy = home.database.with_name(f"{home.database.name}.{label}.bak")
    aside = copy.with_name(f".{copy.name}.partial")
    try:
        aside.unlink(missing_ok=True)
        with (
            closing(sqlite3.connect(home.database, timeout=5)) as source,
            closing(sqlite3.connect(aside)) as target,
        ):
            source.backup(target)
        aside.replace(copy)
    except (sqlite3.Error, OSError) as error:
        raise StoreError(
            f"{home.database} cannot be copied to {copy} ({error}); nothing was changed"
        ) from error
    return copy


def put_back(home: Home, copy: Path) -> None:
    """Make the database what the copy is, in one transaction. Raises: StoreError naming the copy."""
    try:
        with (
            closing(sqlite3.connect(copy)) as source,
            closing(sqlite3.connect(home.database, timeout=5)) as target,
        ):
            source.backup(target)
    except sqlite3.Error as error:
        raise StoreError(f"{home.database} cannot be put back ({error}); copy {copy} over it") from error
