"""Pre-training: which symbol comes next? B rows, L length in symbols, H symbols asked for, V symbols that
there are but for padding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from modelyard.data.batches import Batch, Feed
from modelyard.training.objectives.classification import Classification
from modelyard.training.objectives.pretext import Pretext, PretextConfig
from modelyard.training.objectives.symbol_head import PlaceHead, mean_losses
from modelyard.training.protocols import Moment, Objective


class CausalConfig(PretextConfig):
    """Each symbol is predicted from those before its patch alone (Radford et al. 2018)."""

    kinds: ClassVar[frozenset[str]] = frozenset({"text"})
    method: Literal["causal"] = "causal"

    def objective(self, base: Classification, feed: Feed) -> Objective:
        """What is minimised."""
        return Causal.of(base.augment, feed)


@dataclass(frozen=True, slots=True)
class Causal(Pretext):
    """Cross-entropy over the symbols; the first ones have a state of zeros before them."""

    def head(self, network: Any) -> nn.Module:
        """It is asked for all symbols."""
        return PlaceHead(network, self.probed.form, "past", network.ahead + 1)

    def views(self, batch: Batch, moment: Moment) -> Batch:
        """The symbols, and which are none of the padding."""
        (symbols_BL,) = batch.inputs
        return replace(batch, inputs=(symbols_BL, symbols_BL != 0))

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Logits of the symbols [H, V] -> the mean of each row, float32 [B], nats."""
        return mean_losses(outputs, *batch.inputs)
