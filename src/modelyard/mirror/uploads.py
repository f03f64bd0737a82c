"""Artifacts at a server: sent, then read back; a file counts as sent when size and digest there are those
here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from modelyard.errors import RemoteError
from modelyard.files import sha256_of_file
from modelyard.mirror.remote import Remote, asking

ATTEMPTS = 2


def send_files(files: dict[str, Path], uri: str, remote: Remote, known: dict[str, str]) -> None:
    """Bring every file to `uri`; those in `known` (path there -> digest read back) are only looked at for
    their size.

    Raises: RemoteError when one does not arrive whole.
    """
    if not files:
        return
    with asking(remote):
        repository = get_artifact_repository(uri, tracking_uri=remote.uri)
        sizes = dict(_sizes(repository))
    for path, local in files.items():
        digest, size = sha256_of_file(local), local.stat().st_size
        key = f"{uri}/{path}"
        if known.get(key) == digest and sizes.get(path) == size:
            continue
        with asking(remote):
            _send(repository, path, local, digest, sizes.get(path))
        known[key] = digest


def _send(
    repository: ArtifactRepository, path: str, local: Path, digest: str, size_there: int | None
) -> None:
    """Upload unless it is there already; what arrived is read back each time."""
    size, folder = local.stat().st_size, str(PurePosixPath(path).parent)
    inside = None if folder == "." else folder
    for _ in range(ATTEMPTS):
        if size_there == size and _digest_there(repository, path) == digest:
            return
        repository.log_artifact(str(local), inside)  # type: ignore[no-untyped-call]
        size_there = dict(_sizes(repository, inside)).get(path)
    if size_there != size or _digest_there(repository, path) != digest:
        raise RemoteError(
            f"{path} arrived with {size_there} of {size} bytes or altered, {ATTEMPTS} times; is "
            "the server's disk full?"
        )


def _sizes(repository: ArtifactRepository, folder: str | None = None) -> Iterator[tuple[str, int | None]]:
    for info in repository.list_artifacts(folder):
        if info.is_dir:
            yield from _sizes(repository, info.path)
        else:
            yield info.path, info.file_size


def _digest_there(repository: ArtifactRepository, path: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        return sha256_of_file(Path(repository.download_artifacts(path, folder)))  # type: ignore[no-untyped-call]
