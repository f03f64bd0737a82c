"""A device without room ends a training with one line and a remedy, and its checkpoint stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from modelyard.data.datasets import Dataset
from modelyard.data.packed import pack
from modelyard.errors import TrainingError
from modelyard.progress import EpochReport
from modelyard.recipes.named import make_recipe
from modelyard.samples import ImageForm
from modelyard.training import precision
from modelyard.training.fits import run_job
from modelyard.training.fitted import WEIGHTS_FILE
from modelyard.training.full import told_when_full
from modelyard.training.job import TrainJob

FULL = (
    torch.OutOfMemoryError(
        "CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has a total capacity of 79.18 GiB"
    ),
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you "
        "tried to allocate 9 bytes"
    ),
)


@pytest.mark.parametrize("error", FULL, ids=lambda error: str(error)[:24])
def test_whichever_library_is_out_of_memory_it_is_one_line(error: RuntimeError) -> None:
    with pytest.raises(TrainingError) as told, told_when_full(torch.device("cpu"), 256, "images"):
        raise error
    assert "\n" not in str(told.value)
    assert "batches of 256 images; lower training.batch_size or end what else holds it" in str(told.value)


def test_another_error_is_not_taken_for_a_full_device() -> None:
    with pytest.raises(RuntimeError, match="device-side assert"), told_when_full(torch.device("cpu"), 256):
        raise RuntimeError("CUDA error: device-side assert triggered")


@pytest.mark.fault(
    "the GPU's memory runs out in a step", how="torch's own error, raised by a step of the second epoch"
)
def test_the_checkpoint_stays_and_the_training_goes_on_from_it(
    digits: Dataset, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = ["max_train_images=128", "batch_size=64", "epochs=3", "min_steps=0", "precision=fp32"]
    recipe = make_recipe("rnn", "smoke")
    checkpoint = store / "checkpoint.safetensors"
    job = TrainJob(
        data_folder=str(pack(digits, store / "data").folder), data=recipe.data, model=recipe.model,
        training=recipe.training.override(changes), seed=0, device="cpu", checkpoint=str(checkpoint),
    )  # fmt: skip
    seen: list[EpochReport] = []

    def full_after_an_epoch(optimizer: torch.optim.AdamW) -> None:
        if seen:
            raise FULL[0]
        step(optimizer)

    step = torch.optim.AdamW.step
    with monkeypatch.context() as patched, pytest.raises(TrainingError, match=r"lower training\.batch_size"):
        patched.setattr(torch.optim.AdamW, "step", full_after_an_epoch)
        run_job(job, store, seen.append)
    assert checkpoint.exists()
    run_job(job, store, seen.append)
    assert [report.epoch for report in seen] == [1, 2, 3]
    assert (store / WEIGHTS_FILE).exists()


def test_a_probe_that_ran_out_of_memory_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program's memory says nothing of which precision is faster here."""

    def full(*_arguments: object, **_named: object) -> Callable[..., object]:
        raise FULL[0]

    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(torch.nn.functional, "cross_entropy", full)
    model = make_recipe("rnn", "smoke").model.build(ImageForm(1, 28, 28), 10)
    with pytest.raises(torch.OutOfMemoryError):
        precision.choose_precision(
            model, torch.zeros(2, 1, 28, 28), torch.tensor([0, 1]), tmp_path / "precision.json"
        )
    assert not (tmp_path / "precision.json").exists()
