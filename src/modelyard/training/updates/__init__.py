"""How losses become a change of the weights. `AnyUpdate` is the only list to extend."""

from modelyard.training.updates.eager import Eager

AnyUpdate = Eager

__all__ = ["AnyUpdate", "Eager"]
