"""What each part of the store takes on disk, in bytes."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from modelyard.home import Home, cache_folder


def size_of(path: Path) -> int:
    """Bytes of a file or of all below a folder; what vanishes meanwhile counts nothing, a hard link once."""
    if not path.is_dir() or path.is_symlink():
        with suppress(OSError):
            return path.lstat().st_size
        return 0
    total, seen = 0, set()
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                stat = os.lstat(os.path.join(folder, name))  # noqa: PTH118 - half the time of Path on many files
                if stat.st_nlink == 1 or (stat.st_dev, stat.st_ino) not in seen:
                    seen.add((stat.st_dev, stat.st_ino))
                    total += stat.st_size
    return total


def store_sizes(home: Home) -> dict[str, int]:
    """Part -> bytes, the cache and all of the store last. `total` is the store without the cache, which
    others share.

    What a reader of a shared store may not look into is left out.
    """
    beside = [home.database.with_name(f"{home.database.name}{end}") for end in ("", "-wal", "-shm")]
    sizes = {"database": sum(map(size_of, {*beside, *home.root.glob(f"{home.database.name}*")}))}
    for name in ("artifacts", "steps", "profiles", "checkpoints", "releases", "sweeps", "logs", "prefect"):
        if not (home.root / name).exists() or os.access(home.root / name, os.R_OK):
            sizes[name] = size_of(home.root / name)
    total = max(size_of(home.root), sum(sizes.values()))  # a reader of a shared store may not list it
    return sizes | {"other": total - sum(sizes.values()), "total": total, "cache": size_of(cache_folder())}


def size_rows(home: Home) -> list[dict[str, str | float]]:
    """`store_sizes` as a table, in MB of a million bytes."""
    return [{"what": name, "MB": round(size / 1e6, 1)} for name, size in store_sizes(home).items()]
