"""A folder sealed by the digests of its files: whatever is altered, lost or added later shows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from modelyard.files import parse_json, sha256_of_file, write_json

SEAL_FILE, STEP_FILE = "sha256.json", "step.json"


def seal(folder: Path, record: Mapping[str, object] | None = None) -> None:
    """Record the digest of every file in `folder`; of a step's, with the record of how it was made."""
    files = {name: sha256_of_file(folder / name) for name in sorted(_names(folder))}
    if record is None:
        write_json(folder / SEAL_FILE, files)
    else:
        write_json(folder / STEP_FILE, {**record, "files": files})


def is_sealed(folder: Path) -> bool:
    """Whether `folder` holds the files that it was sealed with, as they were, and no others."""
    try:
        step, lone = folder / STEP_FILE, folder / SEAL_FILE
        digests = parse_json(step.read_bytes())["files"] if step.exists() else parse_json(lone.read_bytes())
        return _names(folder) == digests.keys() and all(
            sha256_of_file(folder / name) == digest for name, digest in digests.items()
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False


def _names(folder: Path) -> set[str]:
    """What a seal lists: all but itself."""
    return {path.name for path in folder.iterdir()} - {STEP_FILE, SEAL_FILE}
