"""Device choice, and the autocast type that is really faster here."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from modelyard.errors import DeviceError
from modelyard.files import sha256_of_json, write_json

Precision = Literal["auto", "fp32", "bf16", "fp16"]
PROBE_SECONDS = 0.4
NO_BF16 = "AVX2"
"""Processors of this kind emulate bf16; asking them takes longer than it ever gains."""
NEEDED_GAIN = 1.1
"""A 16-bit type must be this much faster to be worth its rounding."""


def resolve_device(name: str) -> torch.device:
    """`auto`, `cpu`, `cuda` or `cuda:N`; the first card where none is numbered.

    Raises: DeviceError when a named device is not there.
    """
    kind, _, index = name.partition(":")
    if name not in ("auto", "cpu", "cuda") and not (kind == "cuda" and index.isdecimal()):
        raise DeviceError(f"--device expects auto, cpu, cuda or cuda:N, received {name!r}")
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise DeviceError(
            f"--device {name}: torch sees no CUDA device; use --device cpu or mend the driver "
            "(modelyard doctor)"
        )
    cards, number = torch.cuda.device_count(), int(index or 0)
    if number >= cards:
        raise DeviceError(
            f"--device expects cuda:0{f' to cuda:{cards - 1}' * (cards > 1)}, since torch sees {cards} CUDA "
            f"device{'s' * (cards > 1)}, received {name!r}; name one of them, or auto"
        )
    return torch.device("cuda", number)


def card(device: torch.device) -> dict[str, str | int] | None:
    """Index and name of a CUDA device."""
    if device.type != "cuda":
        return None
    return {"index": device.index or 0, "name": torch.cuda.get_device_name(device)}


def check_precision(precision: str, device: torch.device) -> None:
    """Raises: DeviceError where a card would only emulate bf16, which is slower than fp32."""
    if precision == "bf16" and device.type == "cuda" and not _has_bf16(device):
        raise DeviceError(
            f"training.precision: expected fp32 or fp16, since {torch.cuda.get_device_name(device)} only "
            "emulates bf16, received bf16; --set training.precision=fp16"
        )


def _has_bf16(device: torch.device) -> bool:
    """Devices before Ampere only emulate it."""
    with torch.cuda.device(device):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def autocast(precision: str, device: torch.device) -> AbstractContextManager[None]:
    """The context in which forward passes run; `precision` is fp32, bf16 or fp16."""
    kinds = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    return torch.autocast(device.type, kinds[precision], enabled=precision != "fp32")


def in_precision(
    network: Callable[..., Tensor], precision: str, device: torch.device
) -> Callable[..., Tensor]:
    """`network`, called in that precision."""

    def forward(*inputs: Tensor) -> Tensor:
        with autocast(precision, device):
            return network(*inputs)

    return forward


def choose_precision(
    model: nn.Module, samples_B: Tensor, labels_B: Tensor, memory: Path | None = None
) -> str:
    """What `probe_precision` found the first time for such a model and batch on this machine.

    A probe is a measurement and may come out otherwise on a busy machine: with `memory` (a JSON file) equal
    trainings on one machine run in one precision, and so give the same weights.
    """
    device = (
        torch.cuda.get_device_name(samples_B.device)
        if samples_B.is_cuda
        else torch.backends.cpu.get_cpu_capability()
    )
    if device == NO_BF16:
        return "fp32"
    question = sha256_of_json(
        [torch.__version__, device, torch.get_num_threads(), repr(model), list(samples_B.shape)]
    )
    known = json.loads(memory.read_text()) if memory is not None and memory.exists() else {}
    if question not in known:
        known[question] = probe_precision(model, samples_B, labels_B)
        if memory is not None:
            write_json(memory, known)
    return str(known[question])


def probe_precision(model: nn.Module, samples_B: Tensor, labels_B: Tensor) -> str:
    """fp32 or a 16-bit type, whichever trains a copy of `model` faster on this machine (about one second)."""
    random_state = torch.get_rng_state()
    half = "fp16" if samples_B.is_cuda and not _has_bf16(samples_B.device) else "bf16"
    speed = {name: _steps_per_second(model, samples_B, labels_B, name) for name in ("fp32", half)}
    torch.set_rng_state(random_state)
    return half if speed[half] > NEEDED_GAIN * speed["fp32"] else "fp32"


def _steps_per_second(model: nn.Module, samples_B: Tensor, labels_B: Tensor, precision: str) -> float:
    scratch = copy.deepcopy(model)
    for module in scratch.modules():
        if isinstance(module, nn.RNNBase):
            module.flatten_parameters()  # a copy is not laid out as cuDNN wants it

    def step() -> None:
        with autocast(precision, samples_B.device):
            logits_BK = scratch(samples_B)
        functional.cross_entropy(logits_BK.float(), labels_B).backward()  # type: ignore[no-untyped-call]

    try:
        with torch.no_grad(), autocast(precision, samples_B.device):
            scratch.eval()(samples_B)  # as each epoch is validated
        scratch.train()
        step()  # warm-up: kernels are chosen on the first call
    except torch.OutOfMemoryError:  # says nothing of speed, and must not be remembered
        raise
    except RuntimeError:  # some CPUs have no bf16 kernel for a layer
        return 0.0
    count, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < PROBE_SECONDS:
        step()
        if samples_B.is_cuda:
            torch.cuda.synchronize(samples_B.device)
        count += 1
    return count / elapsed
