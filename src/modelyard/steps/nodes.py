"""The steps of a build, from the data to the bundle. A new step is one entry here and a body."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from modelyard.home import Home
from modelyard.machine.how import How, OnEpoch, silent
from modelyard.models import CustomConfig
from modelyard.steps.requests import BuildRequest
from modelyard.steps.step import Node, Package, Step
from modelyard.training.job import TrainJob
from modelyard.training.slices import EvaluateSlice, ExportSlice, TrainSlice, pretrain_slice

DATA = Step("data", "preparation")
TRAIN = Step("train", "training", "modelyard.steps.train", (Package("torch", parts=2),), is_exclusive=True)
PRETRAIN = Step(
    "pretrain", "pre-training", "modelyard.steps.train", (Package("torch", parts=2),), is_exclusive=True,
    accuracy="linear probe",
)  # fmt: skip
TEACH = Step(
    "teach", "teacher's answers", "modelyard.steps.teach", (Package("onnxruntime", other="onnxruntime-gpu"),)
)
BROUGHT = {step.name: step for step in (
    Step("weights", "brought weights"), Step("unlabelled", "unlabelled samples"), Step("teacher", "teacher")
)}  # fmt: skip
"""Folders named by their content, which `prepare` made as it made the data."""
EVALUATE = Step("evaluate", "evaluation", "modelyard.steps.evaluate")
RUNTIMES = "torch", "onnx", "onnxscript"
EXPORT = Step(
    "export",
    "export and parity",
    "modelyard.steps.export",
    (*map(Package, RUNTIMES), Package("onnxruntime", other="onnxruntime-gpu")),
)


def nodes(request: BuildRequest) -> tuple[Node, ...]:
    """All steps of a build; each comes after those it is made from."""
    *before, train = training_nodes(request)
    data, taught = before[0], [node for node in before if node.step is TEACH]
    evaluate = EVALUATE.node(EvaluateSlice(data=request.recipe.data), (data, train, *taught))
    bundle = ExportSlice(dataset=request.dataset, export=request.recipe.export, **dict(_train_slice(request)))
    return *before, train, evaluate, EXPORT.node(bundle, (data, train, evaluate))


def training_nodes(request: BuildRequest) -> tuple[Node, ...]:
    """Data first, the training that the bundle comes from last; between them what it is made from besides."""
    data, slice = data_node(request), _train_slice(request)
    brought = {name: _brought_node(request, name) for name in request.brought}
    weights, unlabelled, teacher = (
        [brought[name]] if name in brought else [] for name in ("weights", "unlabelled", "teacher")
    )
    made = []
    if request.recipe.pretrain is not None:
        made.append(
            PRETRAIN.node(pretrain_slice(slice, request.recipe.pretrain), (data, *weights, *unlabelled))
        )
    if teacher:
        made.append(TEACH.node(EvaluateSlice(data=request.recipe.data), (data, *teacher)))
    used = unlabelled if request.recipe.training.unlabelled else []
    start = [node for node in made if node.step is PRETRAIN] or weights
    taught = [node for node in made if node.step is TEACH]
    return data, *brought.values(), *made, TRAIN.node(slice, (data, *start, *used, *taught))


def _brought_node(request: BuildRequest, name: str) -> Node:
    slice, digest = EvaluateSlice(data=request.recipe.data), request.brought[name]
    return Node(BROUGHT[name], slice, (), digest[:16], content=digest)


def data_node(request: BuildRequest) -> Node:
    """The prepared data, named by their content: `prepare` made them before the request was known."""
    slice = EvaluateSlice(data=request.recipe.data)
    return Node(DATA, slice, (), request.data_digest[:16], content=request.data_digest)


def train_node(request: BuildRequest) -> Node:
    """The training that the bundle comes from."""
    return training_nodes(request)[-1]


def evaluate_node(request: BuildRequest) -> Node:
    """Its evaluation."""
    return _node(EVALUATE, request)


def export_node(request: BuildRequest) -> Node:
    """The bundle."""
    return _node(EXPORT, request)


def _node(step: Step, request: BuildRequest) -> Node:
    return next(node for node in nodes(request) if node.step is step)


def _train_slice(request: BuildRequest) -> TrainSlice:
    recipe = request.recipe
    return TrainSlice(
        data=recipe.data, model=recipe.model, training=recipe.training, seed=request.seed,
        finetune=recipe.finetune, distil=recipe.distil,
    )  # fmt: skip


def how_of(request: BuildRequest, home: Home, on_epoch: OnEpoch = silent) -> How:
    """What of a request decides how its steps are done."""
    model = request.recipe.model
    own_file = model.file if isinstance(model, CustomConfig) else ""
    return How(
        home, request.label, request.device, request.cores, request.in_process, own_file, on_epoch=on_epoch
    )


def training_job(request: BuildRequest, home: Home, checkpoint: Path) -> TrainJob:
    """What a process is asked that makes a request's weights."""
    how = replace(how_of(request, home), checkpoint=str(checkpoint))
    given = {node.step.name: node.folder(home) for node in train_node(request).parents}
    return TrainJob.of(_train_slice(request), given, how)
