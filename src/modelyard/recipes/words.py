"""The words of `modelyard run`, of a program and of a schedule."""

from __future__ import annotations

from modelyard.config import Config
from modelyard.data.options import FolderOptions
from modelyard.data.splits import DataConfig
from modelyard.machine.how import DEFAULT_DEVICE

COLUMNS = frozenset(("sample_column", "label_column"))


class Words(Config):
    """What a schedule keeps: each run makes recipes from it anew, with the version installed then."""

    dataset: str
    architectures: tuple[str, ...] = ()
    """Empty: the three tuned ones. Baselines of the data's kind are added to those that are named."""
    preset: str = "standard"
    assignments: tuple[str, ...] = ()
    """As `--set` takes them."""
    seed: int = 0
    device: str = DEFAULT_DEVICE
    skip_unreadable: bool = False
    name: str = ""
    """The model's; empty: that of the data."""

    def columns(self) -> FolderOptions:
        """What they say of a table's columns, by which its kind is told. Raises: ConfigError."""
        stripped = [word.strip().removeprefix("data.") for word in self.assignments]
        words = [word for word in stripped if word.partition("=")[0].strip() in COLUMNS]
        return DataConfig().override(words).folder_options()
