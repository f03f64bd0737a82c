"""Networks that others publish as folders (config.json beside the weights) and that are ours by other names:
`FOLDERS` is the list to extend.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from modelyard.models import bert_folder, vit
from modelyard.models.brought import read_settings
from modelyard.models.stated import CONFIG
from modelyard.samples.symbols import Symbols


@dataclass(frozen=True, slots=True)
class Published:
    """A kind of such folders."""

    name: str
    """The recipe that trains it."""
    architecture: str
    """Of its configuration in ours."""
    words: Callable[[Path], list[str]]
    """What the folder says of the network, as `--set` takes it. Raises: ConfigError."""
    renamed: Callable[[Mapping[str, Tensor], Path, Any], dict[str, Tensor]]
    """Tensors by the names of ours; of the folder, for a configuration of ours. Raises: ConfigError."""
    symbols: Callable[[Path, Any], Symbols | None] = lambda _folder, _model: None
    """How samples become what the network is given, where the weights decide it. Raises: ConfigError."""


FOLDERS: Mapping[str, Published] = {
    vit.MODEL_TYPE: Published(
        "vit", vit.ARCHITECTURE, lambda folder: vit.words(read_settings(folder, CONFIG)),
        lambda tensors, _folder, _model: vit.renamed(tensors),
    ),
    **dict.fromkeys(
        bert_folder.FAMILIES,
        Published("bert", "bert", bert_folder.words, bert_folder.renamed, bert_folder.symbols),
    ),
}  # fmt: skip
"""By `model_type` in config.json."""


def published(path: Path) -> Published | None:
    """None for a file, and for a folder of another kind. Raises: ConfigError where config.json is none."""
    kind = read_settings(path, CONFIG).get("model_type") if path.is_dir() else None
    return FOLDERS.get(kind) if isinstance(kind, str) else None
