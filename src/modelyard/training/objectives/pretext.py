"""What the ways of pre-training share: their configuration, and a linear probe of what was learnt.

B rows, N samples, D features, K classes.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from modelyard.config import Config


class PretextConfig(Config):
    """How a network is trained before it sees a label; its head is made anew afterwards."""

    epochs: int = Field(10, ge=1)
    """Passes over all training samples, labelled or not."""
    batch_size: int = Field(256, ge=2)
    """Samples of one optimizer step, at most."""
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 2e-3
    """Peak learning rate."""
