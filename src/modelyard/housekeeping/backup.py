"""The whole store in one file, taken while it is used, and the way back.

Databases are copied by SQLite's own backup, ledgers and alias files under the lock of those who move aliases;
all else is written whole by whoever writes it, and housekeeping leaves it where it is meanwhile. Left out:
locks, logs, checkpoints (an interrupted training begins anew), what runs now, and secrets that are made anew.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock

from modelyard.errors import StoreError
from modelyard.files import make_folder
from modelyard.home import Home
from modelyard.housekeeping.archive import DATABASES, FOLDERS, FORMAT, INDEX, add, checked
from modelyard.machine.leases import in_use
from modelyard.progress import current_progress

OF_THE_MOMENT = {"up.json", "up.sock", "up.pid", "supervisord.conf", "prefect-auth", "sign-in.html"}
"""In `state`: what `modelyard up` makes each time."""
UNFINISHED = ".restoring"


def backup(home: Home, file: Path) -> str:
    """Write the store into a new file, read it back, and say what is in it.

    Raises: StoreError where there is no store, the file exists or lies in the store, or it cannot be written.
    """
    if not home.database.exists():
        raise StoreError(f"there is no store at {home.root}; the first modelyard run makes it")
    if file.exists() or home.root in file.parents:
        raise StoreError(
            f"{file} {'exists' if file.exists() else 'lies in the store'}; name a new file outside of it"
        )
    partial = make_folder(file.parent) / f".{file.name}.partial"
    try:
        with in_use(home), tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as tar:
            index = _write(home, tar, file.parent)
        files = sum(1 for _ in checked(partial))
        partial.replace(file)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{file} cannot be written ({error}); the store is as it was") from error
    finally:
        partial.unlink(missing_ok=True)
    size = file.stat().st_size / 1e6
    return (
        f"{file}: {files} files, {size:.1f} MB, read back and equal; made from "
        f"{index['store']} at {index['time']}"
    )


def _write(home: Home, tar: tarfile.TarFile, beside: Path) -> dict[str, str]:
    """Releases are listed before MLflow's database is copied and all else after it, so that it knows each and
    lacks none.
    """
    digests: dict[str, str] = {}
    with FileLock(make_folder(home.locks) / "alias.lock"), tempfile.TemporaryDirectory(dir=beside) as scratch:
        released = [path for path in _files(home.releases) if path.parent.parent != home.releases]
        for name in DATABASES:
            if (home.root / name).exists():
                add(tar, name, _copied(home.root / name, Path(scratch) / "copy.db"), digests)
        for path in home.releases.glob("*/[!.]*"):
            if path.is_file():
                add(tar, str(path.relative_to(home.root)), path, digests)
    rest = released + [path for folder in FOLDERS[1:] for path in _files(home.root / folder)]
    for done, path in enumerate(rest, 1):
        add(tar, str(path.relative_to(home.root)), path, digests)
        current_progress.get().work("files", done, len(rest))
    told = {"store": str(home.root), "time": datetime.now(UTC).isoformat(timespec="seconds")}
    with tempfile.TemporaryDirectory(dir=beside) as scratch:
        index = Path(scratch) / INDEX
        index.write_text(json.dumps({"format": FORMAT, **told, "files": digests}))
        add(tar, INDEX, index, {})
    return told


def _copied(database: Path, copy: Path) -> Path:
    """Raises: sqlite3.Error, StoreError for one that is damaged."""
    copy.unlink(missing_ok=True)
    with closing(sqlite3.connect(database, timeout=30)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
        if (found := target.execute("PRAGMA quick_check").fetchone()[0]) != "ok":
            raise StoreError(f"{database} is damaged ({found}); there is nothing whole to back up")
    return copy


def _files(folder: Path) -> Iterator[Path]:
    """All that is whole, in order; links lead elsewhere, and what begins with a dot is being written."""
    for path in sorted(folder.glob("*")):
        if path.name[0] == "." or path.is_symlink() or path.name in OF_THE_MOMENT:
            continue
        if path.is_dir():
            yield from _files(path)
        elif path.is_file():
            yield path


def restore(home: Home, file: Path) -> str:
    """Make an empty folder the store that a backup holds; gives what was done in one line.

    It is unpacked and checked beside, and moved in with MLflow's database last: what is interrupted can be
    done again.
    Raises: StoreError where there is a store already, the file is no whole backup, or its ledgers are not
    whole.
    """
    unfinished = home.root / UNFINISHED
    parts = [home.root / name for name in (*FOLDERS, *DATABASES)]
    if home.database.exists() or (not unfinished.exists() and any(map(os.path.lexists, parts))):
        raise StoreError(
            f"{home.root} holds a store already; name another folder by MODELYARD_HOME, or move it away"
        )
    for path in (unfinished, *parts):  # of one that was interrupted
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    make_folder(unfinished)
    try:
        names = list(checked(file, unfinished))
        (unfinished / DATABASES[0]).resolve(strict=True)
        for name in [name for name in (*FOLDERS, *DATABASES[::-1]) if (unfinished / name).exists()]:
            (home.root / name).parent.mkdir(exist_ok=True)
            (unfinished / name).replace(home.root / name)
    except OSError as error:
        raise StoreError(
            f"{home.root} cannot be written ({error}); free space or name another by MODELYARD_HOME"
        ) from error
    except StoreError:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    shutil.rmtree(unfinished, ignore_errors=True)
    return f"{home.root}: {len(names)} files of {file}, {_settled(home)}"


def _settled(home: Home) -> str:
    """Paths are made to say where the store is now, and every ledger is looked at. Raises: StoreError."""
    from modelyard.registry.history import verify  # MLflow is imported by who restores only
    from modelyard.registry.standing import discrepancies
    from modelyard.tracking.relocation import SUFFIX, made_at, relocate

    if made_at(home) != str(home.artifacts):
        relocate(home)
        home.database.with_name(f"{home.database.name}.{SUFFIX}.bak").unlink(missing_ok=True)
    models = sorted(path.name for path in home.releases.glob("*") if path.is_dir())
    differing = [str(each) for each in discrepancies(home)]  # as it did when it was backed up
    for each in differing:
        current_progress.get().say(f"NOTE: {each}")
    altered = [
        f"{model}: {problem}"
        for model in models
        for problem in verify(home, model).problems
        if problem not in differing
    ]
    if altered:
        raise StoreError(
            f"the restored store is not whole, as it was not when it was backed up: {'; '.join(altered)}"
        )
    return f"ledgers of {', '.join(models) or 'no model'} whole"
