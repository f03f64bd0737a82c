"""Hidden symbols, predicted from the features of what is left: what a text is about tells its words, and
is what classes are made of. Or from the states of their places (Devlin et al. 2019).

B rows, L length in symbols, H symbols asked for, V symbols that there are but for padding, R runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from modelyard.data.batches import Batch
from modelyard.samples.symbols import UNKNOWN
from modelyard.training.objectives.pretext import Pretext
from modelyard.training.objectives.symbol_head import PlaceHead, SymbolHead, mean_losses
from modelyard.training.protocols import Moment

UNKNOWN_SHARE, OTHER_SHARE = 0.8, 0.1
"""Of what is asked for so much is made unknown, and so much another symbol; the rest stays."""


@dataclass(frozen=True, slots=True)
class HiddenSymbols(Pretext):
    """Runs of symbols are hidden (Joshi et al. 2020)."""

    usual: ClassVar[tuple[float, int]] = (0.2, 1)
    share: float = 0.2
    run: int = 1
    """Symbols that are hidden together."""
    of_places: bool = False
    """Whether each is told from the state of its place."""

    def head(self, network: Any) -> nn.Module:
        """It is asked for what is hidden alone."""
        if self.of_places:
            return PlaceHead(network, self.probed.form, "states")
        return SymbolHead(network, self.probed.form)

    def views(self, batch: Batch, moment: Moment) -> Batch:
        """Some symbols unknown or others, and which."""
        (symbols_BL,) = batch.inputs
        hidden_BL = self._hidden(symbols_BL, moment.draw) & (symbols_BL != 0)
        draw, device = moment.draw, moment.draw.device
        way_BL = torch.rand(symbols_BL.shape, generator=draw, device=device).to(symbols_BL.device)
        others_BL = torch.randint(
            1, self.probed.form.symbols, symbols_BL.shape, generator=draw, device=device
        )
        is_other_BL = way_BL < UNKNOWN_SHARE + OTHER_SHARE
        seen_BL = torch.where(is_other_BL, others_BL.to(symbols_BL), symbols_BL)
        seen_BL = torch.where(hidden_BL, seen_BL.masked_fill(way_BL < UNKNOWN_SHARE, UNKNOWN), symbols_BL)
        return replace(batch, inputs=(seen_BL, hidden_BL), columns={"target": symbols_BL})

    def _hidden(self, symbols_BL: Tensor, draw: torch.Generator) -> Tensor:
        """Runs that begin anywhere: bool [B, L]."""
        rows, length = symbols_BL.shape
        runs_BR = torch.rand((rows, length // self.run + 2), generator=draw, device=draw.device)
        start_B1 = torch.randint(self.run, (rows, 1), generator=draw, device=draw.device)
        at_BL = (torch.arange(length, device=draw.device) + start_B1) // self.run
        return (runs_BR < self.share).gather(1, at_BL).to(symbols_BL.device)

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Logits of the hidden symbols [H, V] -> the mean over those of each row, float32 [B], nats."""
        return mean_losses(outputs, batch.columns["target"], batch.inputs[1])
