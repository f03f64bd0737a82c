"""Where the microseconds of a step go, and what precision, kernels and image size change. S steps."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile, record_function

from benchmarks.gpu.part import Bench, Values
from benchmarks.gpu.trainings import epoch_ms, peak_memory, recipe_of
from benchmarks.textbook.evidence import spread
from modelyard.data import batches
from modelyard.data.augmentation import AugmentConfig
from modelyard.data.datasets import Split
from modelyard.data.splits import Splits
from modelyard.recipes.named import make_recipe
from modelyard.samples import ImageForm
from modelyard.training import loop
from modelyard.training.averaging import Averaging
from modelyard.training.placement import Single
from modelyard.training.precision import resolve_device
from modelyard.training.updates.eager import Eager

FP32 = ("training.precision=fp32",)
PLACES = (
    (AugmentConfig, "views"),
    (Eager, "__call__"),
    (Averaging, "__call__"),
    (torch.nn.utils, "clip_grad_norm_"),
    (torch.Tensor, "backward"),
)
"""What of a step is told apart; the rest of the update is forward pass, loss and the optimizer, which torch
names itself.
"""


def ranged(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` as a range of the profiler."""

    @functools.wraps(function)
    def inside(*arguments: Any, **named: Any) -> Any:
        with record_function(name):
            return function(*arguments, **named)

    return inside


def profiled(bench: Bench) -> None:
    """One short epoch of each architecture's sprint: the processor's and the GPU's microseconds a step."""
    for architecture in bench.architectures:
        with bench.case(architecture):
            recipe = recipe_of(bench, architecture, "sprint", FP32)
            plain = epoch_ms(bench, recipe)
            kinds = [ProfilerActivity.CPU, *([] if bench.is_dry else [ProfilerActivity.CUDA])]
            with ExitStack() as patches:
                for owner, name in PLACES:
                    title = owner.__name__ if name == "__call__" else name
                    inside = ranged(f"ours: {title}", getattr(owner, name))
                    patches.enter_context(mock.patch.object(owner, name, inside))
                with profile(activities=kinds) as profiler:
                    epoch_ms(bench, recipe, epochs=1)
            bench.note(
                architecture, step_us=round(1e3 * statistics.median(plain[1:])), **_attribution(profiler)
            )


def _attribution(profiler: profile) -> Values:
    """Microseconds a step by what they were spent on. Profiling itself slows the processor's side."""
    averages = profiler.key_averages()
    steps = next(
        event.count for event in averages if event.key == "ours: Eager" and event.device_type.name == "CPU"
    )
    on_cpu = [event for event in averages if event.device_type.name == "CPU"]
    kernels = [event for event in averages if event.device_type.name != "CPU" and not _is_range(event.key)]

    def us(value: float) -> int:
        whole: int = round(value / steps)
        return whole

    ranges = {
        event.key.removeprefix("ours: "): us(event.cpu_time_total) for event in on_cpu if _is_range(event.key)
    }
    on_gpu = {
        event.key.removeprefix("ours: "): us(event.device_time_total)
        for event in on_cpu
        if _is_range(event.key)
    }
    slowest = sorted(
        (event for event in on_cpu if not _is_range(event.key)), key=lambda event: -event.self_cpu_time_total
    )
    busiest = sorted(kernels, key=lambda event: -event.self_device_time_total)
    return {
        "steps": steps,
        "gpu_busy_us": us(sum(event.self_device_time_total for event in kernels)),
        "kernels": round(sum(event.count for event in kernels) / steps, 1),
        "ranges_cpu_us": ranges,
        "ranges_gpu_us": on_gpu,
        "cpu_us": [
            f"{event.key} {us(event.self_cpu_time_total)} x{event.count / steps:.1f}"
            for event in slowest[:14]
        ],
        "gpu_us": [
            f"{event.key[:60]} {us(event.self_device_time_total)} x{event.count / steps:.1f}"
            for event in busiest[:8]
        ],
    }


def _is_range(key: str) -> bool:
    return key.startswith(("ours: ", "Optimizer.", "ProfilerStep"))


@contextmanager
def _tf32() -> Iterator[None]:
    torch.set_float32_matmul_precision("high")
    yield
    torch.set_float32_matmul_precision("highest")


@contextmanager
def flag(name: str, value: bool) -> Iterator[None]:
    """One of cuDNN's, set for a while."""
    before = getattr(torch.backends.cudnn, name)
    setattr(torch.backends.cudnn, name, value)
    yield
    setattr(torch.backends.cudnn, name, before)


def _fused_off() -> Any:
    adamw = torch.optim.AdamW
    return mock.patch.object(
        torch.optim, "AdamW", lambda *given, **named: adamw(*given, **named | {"fused": None})
    )


VARIANTS: dict[str, tuple[tuple[str, ...], Callable[[], Any] | None]] = {
    "as it is (fp32)": (FP32, None),
    "without the fused optimizer": (FP32, _fused_off),
    "bf16": (("training.precision=bf16",), None),
    "fp16": (("training.precision=fp16",), None),
    "TF32 in matrix products": (FP32, _tf32),
    "no TF32 in convolutions": (FP32, lambda: flag("allow_tf32", False)),
    "without channels_last": (
        FP32,
        lambda: mock.patch.object(torch, "channels_last", torch.contiguous_format),
    ),
    "cuDNN's benchmark": (FP32, lambda: flag("benchmark", True)),
    "cuDNN's deterministic": (FP32, lambda: flag("deterministic", True)),
    "as it is, again": (FP32, None),
}


def variants(bench: Bench) -> None:
    """Milliseconds a step of the sprint with one thing changed."""
    for title, (changes, patch) in list(VARIANTS.items())[: 2 if bench.is_dry else None]:
        for architecture in bench.architectures:
            with bench.case(f"{architecture}, {title}"):
                recipe = recipe_of(bench, architecture, "sprint", changes)
                with patch() if patch else ExitStack(), peak_memory(bench) as peak:
                    found = epoch_ms(bench, recipe, epochs=2 if bench.is_dry else 4)[1:]
                bench.note(f"{architecture}, {title}", step_ms=spread(found, 3), **peak)


SIZES = {32: 25_600, 64: 12_800, 224: 2_048}
"""Pixels a side -> images."""


def sizes(bench: Bench) -> None:
    """Images of three channels by their side, resident on the GPU and streamed from a file: the
    standard CNN.
    """
    for side, count in ((32, 64),) if bench.is_dry else SIZES.items():
        splits = _random_images(bench.scratch / f"images-{side}.npy", side, count)
        for place, share in (("resident", 0.9), ("streamed", 0.0)):
            with bench.case(f"{side} px, {place}"):
                with mock.patch.object(batches, "RESIDENT_SHARE", share), peak_memory(bench) as peak:
                    rates = [count / seconds for seconds in _epoch_seconds(bench, splits, side)[1:]]
                bench.note(f"{side} px, {place}", images_per_s=spread(rates, 0), precision="fp32", **peak)


def _epoch_seconds(bench: Bench, splits: Splits, side: int) -> list[float]:
    short = [
        f"epochs={2 if bench.is_dry else 4}",
        "min_steps=0",
        "hard_share=1",
        "precision=fp32",
        *(["batch_size=32"] if bench.is_dry else []),
    ]
    recipe = make_recipe("cnn", "standard")
    model, seconds = recipe.model.build(ImageForm(3, side, side), 10), list[float]()
    placement = Single(resolve_device(bench.device))
    loop.train(
        model, splits, recipe.training.override(short), seed=0, placement=placement,
        on_epoch=lambda report: seconds.append(report.seconds),
    )  # fmt: skip
    return seconds


def _random_images(file: Path, side: int, count: int) -> Splits:
    """Noise on disk, mapped as a packed data set is."""
    generator = np.random.default_rng(0)
    np.save(file, generator.integers(0, 256, (count, 3, side, side), np.uint8))
    labels_N = generator.integers(0, 10, count)
    stored = np.load(file, mmap_mode="r")
    few = np.arange(32)
    return Splits(
        Split(stored, labels_N), Split(stored, labels_N[few], few), Split(stored, labels_N[few], few)
    )
