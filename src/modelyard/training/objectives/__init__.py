"""What a training minimises: all but `Classification` are asked for by a configuration, which makes them.

`AnyPretext` and `AnyUnlabelled` are the only lists to extend.
"""

from modelyard.training.objectives.causal import CausalConfig
from modelyard.training.objectives.classification import Classification
from modelyard.training.objectives.contrastive import ContrastiveConfig
from modelyard.training.objectives.distilled import DistilConfig
from modelyard.training.objectives.fixmatch import FixMatchConfig
from modelyard.training.objectives.masked import MaskedConfig
from modelyard.training.objectives.pseudo import PseudoConfig
from modelyard.training.objectives.rotation import RotationConfig

AnyPretext = MaskedConfig | ContrastiveConfig | RotationConfig | CausalConfig
AnyUnlabelled = FixMatchConfig | PseudoConfig
AnyObjectiveConfig = AnyPretext | AnyUnlabelled | DistilConfig

IS_TABLE_ROOM = True
"""A step depends on the members that its slice holds, not on the list (`steps/closure.py`)."""

__all__ = [
    "AnyObjectiveConfig", "AnyPretext", "AnyUnlabelled", "CausalConfig", "Classification",
    "ContrastiveConfig", "DistilConfig", "FixMatchConfig", "MaskedConfig", "PseudoConfig", "RotationConfig",
]  # fmt: skip
