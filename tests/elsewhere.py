"""What the kernel would tell a process in another container, on another machine, or after a reboot."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from modelyard.machine import identity


@contextmanager
def elsewhere(folder: Path, *kinds: str) -> Iterator[None]:
    """Within, another `machine`, `boot` or `namespace` (files of `folder` in the place of the kernel's) or
    `host` name.
    """
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        for kind in kinds:
            file = folder / kind
            file.write_text(f"another {kind}")
            if kind == "host":
                patch.setattr(platform, "node", lambda: "another")
            else:
                patch.setattr(identity, kind.upper(), file)
        yield
