"""Learning rates by layer (Howard and Ruder 2018)."""

from __future__ import annotations

from torch import nn

from modelyard.errors import TrainingError


def layer_rates(model: nn.Module, decay: float) -> dict[nn.Parameter, float]:
    """What each parameter of stem and blocks has of the learning rate; all others have the whole of it.

    Raises: TrainingError for a network without stem and blocks.
    """
    rates = dict[nn.Parameter, float]()
    for network in model.modules() if decay < 1 else ():
        stem, blocks = getattr(network, "stem", None), getattr(network, "blocks", None)
        if isinstance(stem, nn.Module) and isinstance(blocks, nn.Sequential | nn.ModuleList):
            for above, part in enumerate([*list(blocks)[::-1], stem], 1):
                rates |= dict.fromkeys(part.parameters(), decay**above)
    if decay < 1 and not rates:
        raise TrainingError(
            f"finetune.layer_decay={decay:g}: expected a network with stem and blocks, received "
            f"{type(model).__name__}, which has none; --set finetune.layer_decay=1"
        )
    return rates
