"""One optimizer step, operation by operation. B rows."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from modelyard.data.batches import Batch
from modelyard.training.placement import Placement
from modelyard.training.plan import TrainingPlan
from modelyard.training.protocols import Moment, Network, Objective
from modelyard.training.state import TrainState


@dataclass(frozen=True, slots=True)
class Eager:
    """Forward and backward pass, gradients clipped by their norm, a step of the optimizer."""

    objective: Objective
    placement: Placement
    plan: TrainingPlan
    forward: Network
    """The network as it is called in training: in its precision, and compiled where that is asked."""
    clip_norm: float

    def __call__(self, state: TrainState, batch: Batch, moment: Moment) -> Tensor:
        """Change the weights by a batch as it was fed; gives the detached losses [B]."""
        batch = self.objective.views(batch, moment)
        total = self.placement.total(self.objective.counts(batch).sum())
        losses_B = self.objective.loss(self.forward, batch, moment)
        state.optimizer.zero_grad(set_to_none=True)
        state.scaler.scale(losses_B.sum() / total).backward()  # type: ignore[no-untyped-call]
        state.scaler.unscale_(state.optimizer)
        nn.utils.clip_grad_norm_(state.network.parameters(), self.clip_norm)
        for group in state.optimizer.param_groups:
            group["lr"] = self.plan.rates[moment.step] * group.get("share", 1.0)
        state.scaler.step(state.optimizer)
        state.scaler.update()
        return losses_B.detach()
