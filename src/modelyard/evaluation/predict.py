"""What a torch model predicts for samples, and the loss it will have once calibrated.

B batch, K classes, N samples.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from modelyard.data.batches import to_unit_range
from modelyard.data.datasets import Split, evaluated_rows

TEMPERATURES = tuple(2 ** (step / 8) for step in range(-8, 17))
"""0.5 to 4."""


def predict_logits(model: nn.Module, split: Split, device: torch.device, batch_size: int = 512) -> Tensor:
    """float32 logits [N, K] on the CPU, in evaluation mode; computed in float32 but where autocast says
    otherwise.
    """
    was_training = model.training
    model.eval()
    logits: list[Tensor] = []
    batch_size = evaluated_rows(split.form, batch_size)
    with torch.inference_mode():
        for start in range(0, len(split), batch_size):
            samples_B = torch.from_numpy(split.gather(slice(start, start + batch_size))).to(device)
            samples_B = to_unit_range(samples_B).contiguous(memory_format=torch.channels_last)
            logits.append(model(samples_B).float().cpu())
    model.train(was_training)
    return torch.cat(logits)


def calibrated_loss(logits_NK: Tensor, labels_N: Tensor) -> float:
    """Mean cross-entropy, nats, at the best of `TEMPERATURES` (Guo et al. 2017).

    Late epochs are more often right and too sure of it, which the temperature of the exported graph mends.
    """
    return min(
        functional.cross_entropy(logits_NK / temperature, labels_N).item() for temperature in TEMPERATURES
    )
