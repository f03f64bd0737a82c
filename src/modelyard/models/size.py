"""What a model costs: parameters, FLOPs and activation memory for one sample."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from modelyard.models.blank import blank_inputs
from modelyard.samples import Form


@dataclass(frozen=True, slots=True)
class ModelSize:
    """Costs of one forward pass of one sample."""

    parameters: int
    flops: int
    """Multiplications and additions of matrix products, convolutions and attention."""
    activation_bytes: int
    """First outputs of all leaf layers."""


def measure_size(model: nn.Module, form: Form) -> ModelSize:
    """Run one blank sample through `model` and count."""
    activation_bytes = lstm_flops = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
        nonlocal activation_bytes, lstm_flops
        first = _first(output)
        lstm_flops += _lstm_flops(module, inputs[0]) if isinstance(module, nn.LSTM) else 0
        activation_bytes += first.numel() * first.element_size() if first is not None else 0

    leaves = [module for module in model.modules() if not list(module.children())]
    hooks = [module.register_forward_hook(count) for module in leaves]
    was_training = model.training
    device = next(model.parameters()).device
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.eval()(*blank_inputs(form, 1, device))
    model.train(was_training)
    for hook in hooks:
        hook.remove()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return ModelSize(parameters, counter.get_total_flops() + lstm_flops, activation_bytes)


def _first(output: object) -> Tensor | None:
    """The first tensor of what a module gives: a user's own may give anything."""
    while isinstance(output, tuple | list | dict) and output:
        output = next(iter(output.values() if isinstance(output, dict) else output))
    return output if isinstance(output, Tensor) else None


def _lstm_flops(lstm: nn.LSTM, series_BTF: Tensor) -> int:
    """The fused LSTM kernel hides its products from the counter: 2 per weight and time step."""
    return series_BTF.shape[1] * sum(
        2 * weight.numel() for name, weight in lstm.named_parameters() if name.startswith("weight")
    )
