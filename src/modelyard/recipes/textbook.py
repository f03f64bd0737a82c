"""The forms in which textbooks print the architectures, trained as ours."""

from __future__ import annotations

from modelyard.models import CnnConfig, RnnConfig, TransformerConfig
from modelyard.recipes.fixed import Fixed

LENET = Fixed(CnnConfig(variant="lenet"), rate=3e-3, epochs=6)
"""LeNet-5."""
LSTM = Fixed(RnnConfig(variant="lstm", hidden=256, layers=2, rows_per_step=1), rate=2e-3, epochs=6, shift=1)
"""Two layers of 256 units on single rows."""
VIT = Fixed(TransformerConfig(variant="vit", patch=7), rate=2e-3, epochs=12, shift=1)
"""The Vision Transformer: linear patches and a class token."""
