"""The sites that publish the named data sets, the last source to be asked. A stall ends the attempt within
seconds.
"""

from __future__ import annotations

import hashlib
import http.client
import threading
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modelyard.data.datasets import OnProgress, unheard
from modelyard.errors import DataError
from modelyard.sources.cifar import ARCHIVE, ARCHIVE_MD5, MOST_BYTES
from modelyard.sources.known import KNOWN

PATIENCE = 8.0
"""Seconds in which the next `LEAST_BYTES` have to arrive."""
LEAST_BYTES = 16_384


class SourceMissing(DataError):
    """No source has the data set."""


class _Download(threading.Thread):
    """One address being read into memory. A thread, since no time limit of Python's covers a name look-up."""

    def __init__(self, address: str, patience: float) -> None:
        super().__init__(daemon=True)
        self.address, self._patience = address, patience
        self.content, self.total = bytearray(), 0
        self.is_whole, self.is_wanted = False, True
        self.start()

    def run(self) -> None:
        try:
            with urllib.request.urlopen(self.address, timeout=self._patience) as response:
                self.total = int(response.headers.get("Content-Length") or 0)
                while (
                    self.is_wanted and len(self.content) <= MOST_BYTES and (block := response.read1(1 << 16))
                ):
                    self.content += block
                self.is_whole = self.is_wanted and len(self.content) >= self.total
        except (OSError, ValueError, http.client.HTTPException):
            return


def fetch_files(name: str, folder: Path, on_progress: OnProgress = unheard) -> None:
    """Download the files of a built-in data set into `folder`. Raises: SourceMissing when no mirror sends
    them.
    """
    if not KNOWN[name].torchvision:
        raise SourceMissing(
            f"{name} is in no local folder and cannot be fetched; put train.tsv and test.tsv (in each line a "
            f"label, a tab and a text) into a folder {name}/ and set MODELYARD_DATA to the folder above it"
        )
    for file, md5, addresses in _published(name):
        content = download(addresses, md5, on_progress=on_progress)
        if content is None:
            raise SourceMissing(
                f"{name} is in no local folder and none of its mirrors sends {file}; put its files "
                "into a folder"
                f" {name}/ and set MODELYARD_DATA to the folder above it"
            )
        (folder / file).write_bytes(content)


def download(
    addresses: Sequence[str], md5: str, *, patience: float = PATIENCE, on_progress: OnProgress = unheard
) -> bytes | None:
    """The content that `md5` names, from whichever address sends it first; None when none does.

    The addresses are asked at the same time. Whatever hangs (look-up, connection, answer, a trickle), the
    attempt ends when `patience` seconds bring less than `LEAST_BYTES`.
    """
    left = list(addresses)
    while left:
        attempts = [_Download(address, patience) for address in left]
        whole = _race(attempts, patience, on_progress)
        for attempt in attempts:
            attempt.is_wanted = False
        if whole is None:
            return None
        if hashlib.md5(whole.content, usedforsecurity=False).hexdigest() == md5:
            return bytes(whole.content)
        left.remove(whole.address)  # a captive portal's page, a damaged copy: ask the others
    return None


def _race(attempts: Sequence[_Download], patience: float, on_progress: OnProgress) -> _Download | None:
    """The attempt that ends first, the others being called off once it is ahead; None when all
    fail or stall.
    """
    mark, due = 0, time.monotonic() + patience
    while time.monotonic() < due:
        running = [attempt for attempt in attempts if attempt.is_whole or attempt.is_alive()]
        if not running:
            return None
        ahead = max(running, key=lambda attempt: len(attempt.content))
        if ahead.is_whole:
            return ahead
        if len(ahead.content) >= mark + LEAST_BYTES:
            for attempt in attempts:
                attempt.is_wanted = attempt is ahead
            mark, due = len(ahead.content), time.monotonic() + patience
            on_progress(f"downloading {ahead.address.rpartition('/')[2]}", mark, ahead.total)
        time.sleep(0.02)
    return None


def _published(name: str) -> list[tuple[str, str, list[str]]]:
    """File, md5 and addresses of all files of a data set, as torchvision lists them."""
    import torchvision

    source: Any = getattr(torchvision.datasets, KNOWN[name].torchvision)
    if KNOWN[name].layout == "cifar":  # the pickled version's neighbour
        return [(ARCHIVE, ARCHIVE_MD5, [source.url.rpartition("/")[0] + f"/{ARCHIVE}"])]
    return [(file, md5, [mirror + file for mirror in source.mirrors]) for file, md5 in source.resources]
