"""Which card, driver and packages; the data set."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import shutil
import sys
import warnings

import numpy as np
import torch

from benchmarks.gpu.part import Bench
from benchmarks.textbook.evidence import machine
from modelyard.data.datasets import Dataset, Split, make_dataset
from modelyard.data.packed import pack
from modelyard.errors import ModelyardError
from modelyard.sources.sources import load_dataset

PACKAGES = (
    "torch",
    "triton",
    "numpy",
    "onnx",
    "onnxscript",
    "onnx-ir",
    "onnxruntime",
    "onnxruntime-gpu",
    "torchvision",
    "pydantic",
)


def card(bench: Bench) -> None:
    """What there is to measure on; without CUDA, why."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        there = torch.cuda.is_available()
    versions = {name: _version(name) for name in PACKAGES}
    bench.note(
        "packages",
        python=sys.version.split()[0],
        **{name: version for name, version in versions.items() if version},
    )
    bench.note(
        "processor",
        name=machine(),
        usable=len(os.sched_getaffinity(0)),
        compiler=shutil.which("gcc") or "none",
    )
    if not there:
        bench.note("cuda", there=False, why=why_not([str(warning.message) for warning in caught]))
        return
    free, total = torch.cuda.mem_get_info()
    major, minor = torch.cuda.get_device_capability()
    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    bench.note(
        "cuda",
        there=True,
        card=torch.cuda.get_device_name(),
        cards=torch.cuda.device_count(),
        capability=f"{major}.{minor}",
        runtime=torch.version.cuda,
        driver=_driver(),
        cudnn=cudnn,
        GB=round(total / 1e9, 1),
    )
    if not torch.cuda.is_bf16_supported(including_emulation=False):
        bench.note(
            "no bf16",
            why=f"{torch.cuda.get_device_name()} only emulates it: `auto` and fp16 are what it is good for",
        )
    if free < 0.9 * total:
        bench.note(
            "memory is held",
            why=f"only {free / 1e9:.1f} of {total / 1e9:.1f} GB are free: another process holds the rest",
        )


def why_not(warned: list[str]) -> str:
    """Why torch sees no CUDA, in a line."""
    if torch.version.cuda is None:
        return "this torch was built without CUDA"
    told = next((text for text in warned if "CUDA" in text or "driver" in text), "")
    return (
        told.splitlines()[0][:300]
        if told
        else "torch sees no CUDA device: no NVIDIA driver, or CUDA_VISIBLE_DEVICES hides it"
    )


def _driver() -> str:
    try:
        pynvml = importlib.import_module("pynvml")  # of nvidia-ml-py, which images for GPUs mostly have

        pynvml.nvmlInit()
        return str(pynvml.nvmlSystemGetDriverVersion())
    except Exception:
        return "unknown"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def data(bench: Bench) -> None:
    """MNIST, packed; noise in a dry run, or where MNIST is not there."""
    try:
        dataset = _noise() if bench.is_dry else load_dataset("mnist")
    except ModelyardError as error:
        bench.note("no mnist", why=str(error))
        dataset = _noise()
    bench.data.symlink_to(dataset.folder or pack(dataset, bench.scratch / "noise").folder or "")
    bench.note("data", name=dataset.name, train=len(dataset.train), test=len(dataset.test))


def _noise() -> Dataset:
    """Of MNIST's shape."""
    generator, classes = np.random.default_rng(0), tuple(str(digit) for digit in range(10))
    train, test = (
        Split(generator.integers(0, 256, (count, 1, 28, 28), np.uint8), np.arange(count, dtype=np.int64) % 10)
        for count in (200, 60)
    )
    return make_dataset("noise", train, test, classes)
