"""Devices are never chosen in silence; a probe is asked once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from modelyard.errors import DeviceError
from modelyard.training import precision
from modelyard.training.precision import choose_precision, resolve_device


def test_unknown_and_absent_devices_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceError, match="expects auto, cpu or cuda, received 'gpu'"):
        resolve_device("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="torch sees no CUDA device; use --device cpu"):
        resolve_device("cuda")


def test_equal_trainings_on_one_machine_get_one_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    answers = iter(["bf16", "fp32", "fp32"])
    monkeypatch.setattr(precision, "probe_precision", lambda *_: next(answers))
    images_BCHW, labels_B = torch.zeros(7, 1, 3, 5), torch.zeros(7, dtype=torch.int64)
    model, wider = torch.nn.Linear(5, 2), torch.nn.Linear(5, 3)
    memory = tmp_path / "precision.json"
    assert [choose_precision(model, images_BCHW, labels_B, memory) for _ in range(3)] == ["bf16"] * 3
    assert choose_precision(wider, images_BCHW, labels_B, memory) == "fp32"
    assert choose_precision(model, images_BCHW[:3], labels_B[:3], memory) == "fp32"
