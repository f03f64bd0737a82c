"""Which rows an epoch trains on. `AnySampler` is the only list to extend."""

from modelyard.training.samplers.balanced import Balanced
from modelyard.training.samplers.hard import Hard
from modelyard.training.samplers.shuffled import Shuffled

AnySampler = Shuffled | Hard | Balanced

__all__ = ["AnySampler", "Balanced", "Hard", "Shuffled"]
