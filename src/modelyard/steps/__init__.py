"""The verbs of the pipeline. A step's output is a folder named by the digest of all it depends on."""

from modelyard.steps.evaluation import evaluate
from modelyard.steps.export import export
from modelyard.steps.finished import evaluation_is_done, export_is_done, training_is_done
from modelyard.steps.freshness import DataReport, examine, refuse_unfit
from modelyard.steps.memory import check_memory
from modelyard.steps.preparation import build_requests, check_model, prepare, with_first_weights
from modelyard.steps.training import run_training

__all__ = [
    "DataReport",
    "build_requests",
    "check_memory",
    "check_model",
    "evaluate",
    "evaluation_is_done",
    "examine",
    "export",
    "export_is_done",
    "prepare",
    "refuse_unfit",
    "run_training",
    "training_is_done",
    "with_first_weights",
]
