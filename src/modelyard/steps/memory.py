"""Whether a training fits in this machine's memory: estimated in milliseconds, tried where it may not."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from modelyard.data.datasets import Dataset
from modelyard.data.packed import open_packed
from modelyard.errors import DataError
from modelyard.home import Home
from modelyard.machine.memory import available_bytes
from modelyard.models.blank import blank_inputs
from modelyard.samples import Form
from modelyard.steps.nodes import nodes, training_job
from modelyard.steps.requests import BuildRequest
from modelyard.steps.run import waiting
from modelyard.training.config import batch_size_for
from modelyard.training.precision import resolve_device
from modelyard.training.trial import Cost, measure

PROCESS_BYTES = 0.9e9
"""Of a training without its images and activations."""
CLEAR_SHARE = 0.4
"""What is reckoned may be twice too little; a training of less than this share of the memory is not tried."""


def check_memory(request: BuildRequest, home: Home, cost: Cost | None = None) -> None:
    """Raises: DataError when the training will not fit; `cost` is what was measured of it already."""
    is_asked = any(node.step.is_exclusive for node in waiting(nodes(request), home))
    if not is_asked or not request.recipe.model.is_network:
        return
    dataset, available = open_packed(home.steps / request.data_step, verify=False), available_bytes()
    needed = cost.memory if cost else _reckoned(request, dataset)
    if resolve_device(request.device).type != "cpu" or needed <= available * (1 if cost else CLEAR_SHARE):
        return
    if cost is None:
        measured = measure([training_job(request, home, home.checkpoints / "trial")])[0]
        needed = measured.memory if measured else needed
    if needed > available:
        form, batch = dataset.form, batch_size_for(request.recipe.training, len(dataset.train))
        raise DataError(
            f"{request.label} on {form.names.many} of {form.extent} in batches of {batch}: expected at "
            f"most {available / 1e9:.1f} GB"
            f" of memory (what is free), needs about {needed / 1e9:.1f} GB; lower {form.shrunk_by}, or"
            " training.batch_size"
        )


def _reckoned(request: BuildRequest, dataset: Dataset) -> float:
    """Bytes of the process: twice what a step saves for gradients, and weights with averages and moments."""
    model = request.recipe.model.build(dataset.form, len(dataset.classes))
    batch = batch_size_for(request.recipe.training, len(dataset.train))
    weights = sum(parameter.nbytes for parameter in model.parameters())
    views = request.recipe.training.unlabelled.views if request.recipe.training.unlabelled else 1
    return PROCESS_BYTES + 2 * batch * views * _saved_bytes(model, dataset.form) + 6 * weights


def _saved_bytes(model: nn.Module, form: Form) -> float:
    """For each sample; measured, since a user's own module may compute outside of its layers."""
    saved: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = model.train()(*blank_inputs(form, 2))
    del outputs
    return sum(saved.values()) / 2
