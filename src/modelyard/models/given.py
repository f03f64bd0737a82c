"""What a model is given of samples."""

from __future__ import annotations

from typing import ClassVar

from modelyard.config import Config
from modelyard.data.datasets import Split
from modelyard.samples.ragged import Ragged
from modelyard.samples.symbols import Symbols


class GivenConfig(Config):
    """What every model takes unless its kind says otherwise."""

    operators: ClassVar[frozenset[str]] = frozenset()
    """Without one of them in its graph the exporter has failed."""
    is_network: ClassVar[bool] = True
    """Whether `build` makes one, which a training takes steps with."""
    is_brought: ClassVar[bool] = False
    """Whether it is nothing without weights that are brought."""
    is_baseline: ClassVar[bool] = False
    """Whether others have to be better than this to be worth their while."""

    @property
    def inputs(self) -> tuple[str, ...] | None:
        """What `export.input` may be; None: the exporter tells."""
        return None

    def symbols(self, train: Split) -> Symbols | None:
        """What has to be learnt of training samples before it can be built: nothing of pixels; of samples of
        unequal length it is given the bytes.
        """
        return Symbols("bytes") if isinstance(train.samples, Ragged) else None
