"""The full log of a run in a file; the console keeps to progress and results."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from modelyard.files import hold_folder, make_folder
from modelyard.home import Home
from modelyard.terminal.printable import printable


class PrintableFormatter(logging.Formatter):
    """Further lines of a message are indented, so that none can be taken for a line of its own."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n    ".join(map(printable, super().format(record).split("\n")))


@contextmanager
def log_to_file(home: Home) -> Iterator[Path]:
    """Send all that libraries log or warn to a new file in the store; gives its path."""
    path = make_folder(home.logs) / f"run-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    root, level = logging.getLogger(), logging.getLogger().level
    handler = logging.FileHandler(path)
    hold_folder(path, handler)
    handler.setFormatter(PrintableFormatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    logging.raiseExceptions = (
        False  # a full disk is told once by the run, not by each line that cannot be logged
    )
    try:
        yield path
    finally:
        logging.raiseExceptions = True
        logging.captureWarnings(False)
        root.setLevel(level)
        root.removeHandler(handler)
        with suppress(OSError):
            handler.close()
