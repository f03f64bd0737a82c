"""What is left of a step when kernels are not launched one by one: a CUDA graph of it, and torch.compile. B
batch.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from unittest import mock

import torch
from torch import nn
from torch.nn import functional

from benchmarks.gpu.part import Bench
from benchmarks.gpu.steps import FP32
from benchmarks.gpu.trainings import epoch_ms, recipe_of
from benchmarks.textbook.evidence import spread
from modelyard.recipes.recipe import Recipe
from modelyard.samples import ImageForm

WARM, REPEATS, STEPS = 5, 5, 100


def graphed(bench: Bench) -> None:
    """The sprint's step without augmentation and average: as it is, and captured once and replayed."""
    for architecture in bench.architectures:
        with bench.case(architecture):
            step = _step(bench, recipe_of(bench, architecture, "sprint", FP32))
            if bench.is_dry:
                step()
                bench.note(architecture, loss=step().item())
                continue
            stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):  # what is captured must have run on a stream of its own
                for _ in range(WARM):
                    step()
            torch.cuda.current_stream().wait_stream(stream)
            eager_us = _microseconds(step)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                loss = step()
            replayed_us = _microseconds(graph.replay)
            bench.note(
                architecture,
                eager_us=spread(eager_us, 0),
                replayed_us=spread(replayed_us, 0),
                loss=loss.item(),
            )


def _step(bench: Bench, recipe: Recipe) -> Callable[[], torch.Tensor]:
    """One optimizer step on one batch of noise, which gives its loss."""
    count, generator = recipe.training.batch_size, torch.Generator().manual_seed(0)
    model = (
        recipe.model.build(ImageForm(1, 28, 28), 10)
        .to(bench.device)
        .to(memory_format=torch.channels_last)
        .train()
    )
    images_BCHW = torch.rand(count, 1, 28, 28, generator=generator).to(bench.device)
    images_BCHW = images_BCHW.contiguous(memory_format=torch.channels_last)
    labels_B = torch.randint(10, (count,), generator=generator).to(bench.device)
    optimizer = recipe.training.optimizer.build(model)
    for group in optimizer.param_groups:
        group["capturable"] = not bench.is_dry

    def step() -> torch.Tensor:
        loss = functional.cross_entropy(model(images_BCHW), labels_B)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), recipe.training.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)  # so that gradients lie in the graph's own memory
        return loss.detach()

    return step


def _microseconds(call: Callable[[], object]) -> list[float]:
    """Of a call, in each of `REPEATS`."""
    found = []
    for _ in range(REPEATS):
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(STEPS):
            call()
        torch.cuda.synchronize()
        found.append(1e6 * (time.perf_counter() - began) / STEPS)
    return found


def compiled(bench: Bench) -> None:
    """torch.compile, plain and with CUDA graphs of forward and backward: its first epoch and the
    later ones.
    """
    for architecture in () if bench.is_dry else bench.architectures:
        for mode in ("default", "reduce-overhead"):
            with bench.case(f"{architecture}, {mode}"):
                torch.compiler.reset()
                recipe = recipe_of(bench, architecture, "sprint", [*FP32, "training.compile=true"])
                with mock.patch.object(torch, "compile", functools.partial(torch.compile, mode=mode)):
                    first, *later = epoch_ms(bench, recipe, epochs=5)
                steps = -(-12800 // recipe.training.batch_size)
                bench.note(
                    f"{architecture}, {mode}", first_epoch_s=first * steps / 1e3, step_ms=spread(later[1:], 3)
                )  # fmt: skip
