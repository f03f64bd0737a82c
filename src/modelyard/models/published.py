"""Networks that others publish as folders (config.json beside the weights) and that are ours by other names:
`FOLDERS` is the list to extend.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from modelyard.models import vit
from modelyard.models.brought import read_settings
from modelyard.models.stated import CONFIG


@dataclass(frozen=True, slots=True)
class Published:
    """A kind of such folders."""

    name: str
    """The recipe that trains it."""
    architecture: str
    """Of its configuration in ours."""
    words: Callable[[Mapping[str, Any]], list[str]]
    """What config.json says of the network, as `--set` takes it. Raises: ConfigError."""
    renamed: Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
    """Tensors by the names of ours."""


FOLDERS: Mapping[str, Published] = {
    vit.MODEL_TYPE: Published("vit", vit.ARCHITECTURE, vit.words, vit.renamed)
}
"""By `model_type` in config.json."""


def published(path: Path) -> Published | None:
    """None for a file, and for a folder of another kind. Raises: ConfigError where config.json is none."""
    kind = read_settings(path, CONFIG).get("model_type") if path.is_dir() else None
    return FOLDERS.get(kind) if isinstance(kind, str) else None
