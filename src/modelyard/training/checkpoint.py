"""One atomic safetensors file per training: tensors, and JSON in its header. Nothing is pickled."""

from __future__ import annotations

import json
import logging
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from modelyard.errors import TrainingError
from modelyard.files import write_atomically

logger = logging.getLogger(__name__)
SCHEMA = "2"
"""2: tensors by parameter name; before it, models by role and the optimizer's state by index."""
MOST_SHARE = 0.02
"""Share of a training's time that its checkpoints may take."""


class Pace:
    """Says when the next checkpoint is due, so that all of them take at most `MOST_SHARE` of the time.

    The first is due at once. A context: what happens in it is the saving, which is timed.
    """

    def __init__(self) -> None:
        self._cost, self._since = 0.0, time.perf_counter()
        self.total = 0.0
        """Seconds of all savings."""

    def is_due(self) -> bool:
        """Whether the last saving is paid for by the time since."""
        return (time.perf_counter() - self._since) * MOST_SHARE >= self._cost

    def __enter__(self) -> None:
        self._since = time.perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cost, self._since = time.perf_counter() - self._since, time.perf_counter()
        self.total += self._cost


def save_checkpoint(path: Path, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
    """Write tensors by name and numbers (JSON) in one replace."""
    contiguous = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    write_atomically(path, save(contiguous, {"schema": SCHEMA, "numbers": json.dumps(numbers)}))


def is_readable(path: Path) -> bool:
    """Whether there is a checkpoint of this version; one of another is warned of.

    Raises: TrainingError when the file is damaged.
    """
    if not path.exists():
        return False
    with told_when_damaged(path):
        is_ours: bool = _metadata(path.read_bytes()).get("schema") == SCHEMA
    if not is_ours:
        logger.warning("checkpoint %s is of another version of modelyard: the training begins anew", path)
    return is_ours


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors by name and numbers. Raises whatever a damaged file gives: see `told_when_damaged`."""
    content = path.read_bytes()
    return load(content), json.loads(_metadata(content)["numbers"])


def _metadata(content: bytes) -> dict[str, str]:
    (header_size,) = struct.unpack("<Q", content[:8])
    metadata: dict[str, str] = json.loads(content[8 : 8 + header_size])["__metadata__"]
    return metadata


@contextmanager
def told_when_damaged(path: Path) -> Iterator[None]:
    """Raises: TrainingError with a remedy where reading or restoring fails inside."""
    try:
        yield
    except Exception as error:
        raise TrainingError(f"checkpoint {path} cannot be used ({error}); delete it to start over") from error
