"""What a training minimises. `AnyObjective` is the only list to extend."""

from modelyard.training.objectives.classification import Classification

AnyObjective = Classification

__all__ = ["AnyObjective", "Classification"]
