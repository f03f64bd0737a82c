"""What a torch model predicts for samples, and the loss it will have once calibrated.

B batch, K classes, N samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from modelyard.data.batches import Feed, network_input
from modelyard.data.datasets import Split

TEMPERATURES = tuple(2 ** (step / 8) for step in range(-8, 17))
"""0.5 to 4."""


def predict_logits(model: nn.Module, split: Split, device: torch.device, batch_size: int = 512) -> Tensor:
    """float32 logits [N, K] on the CPU, in evaluation mode; computed in float32 but where autocast says
    otherwise.
    """
    with evaluation_mode(model):
        return logits_of(model, Feed(split, device, resident=False), batch_size)


def logits_of(forward: Callable[[Tensor], Tensor], feed: Feed, batch_size: int = 512) -> Tensor:
    """float32 logits [N, K] on the CPU of all samples of a feed, in order."""
    rows, logits = list[Tensor](), list[Tensor]()
    for batch in feed.in_blocks(batch_size):
        rows.append(batch.rows_B)
        logits.append(forward(network_input(batch.inputs[0])).float())
    return torch.cat(logits).cpu()[torch.cat(rows).argsort()]


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """No gradients, no dropout, and the mode from before afterwards."""
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        yield
    model.train(was_training)


def calibrated_loss(logits_NK: Tensor, labels_N: Tensor) -> float:
    """Mean cross-entropy, nats, at the best of `TEMPERATURES` (Guo et al. 2017).

    Late epochs are more often right and too sure of it, which the temperature of the exported graph mends.
    """
    return min(
        functional.cross_entropy(logits_NK / temperature, labels_N).item() for temperature in TEMPERATURES
    )
