"""Which rows an epoch trains on. `AnySampler` is the only list to extend."""

from modelyard.training.samplers.balanced import Balanced
from modelyard.training.samplers.by_length import ByLength
from modelyard.training.samplers.hard import Hard
from modelyard.training.samplers.mixed import Mixed
from modelyard.training.samplers.shuffled import Shuffled

AnySampler = Shuffled | Hard | Balanced | ByLength | Mixed

__all__ = ["AnySampler", "Balanced", "ByLength", "Hard", "Mixed", "Shuffled"]
