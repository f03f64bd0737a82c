"""Devices are never chosen in silence; a probe is asked once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from modelyard.errors import DeviceError
from modelyard.training import precision
from modelyard.training.precision import check_precision, choose_precision, resolve_device


def test_unknown_and_absent_devices_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("gpu", "cuda:", "cuda:-1", "cuda:a", "cpu:0", "cuda:1:2"):
        with pytest.raises(DeviceError, match=f"expects auto, cpu, cuda or cuda:N, received '{name}'"):
            resolve_device(name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in ("cuda", "cuda:0"):
        with pytest.raises(DeviceError, match=f"{name}: torch sees no CUDA device; use --device cpu"):
            resolve_device(name)
    assert resolve_device("auto") == torch.device("cpu")


@pytest.mark.parametrize(("cards", "range_"), [(1, "cuda:0"), (3, "cuda:0 to cuda:2")])
def test_a_card_is_chosen_by_its_number_among_those_that_are_there(
    cards: int, range_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cards)
    assert [str(resolve_device(name)) for name in ("auto", "cuda", "cuda:0", "cpu")] == [
        *["cuda:0"] * 3,
        "cpu",
    ]
    assert resolve_device(f"cuda:{cards - 1}").index == cards - 1
    with pytest.raises(DeviceError) as told:
        resolve_device(f"cuda:{cards}")
    assert f"expects {range_}, since torch sees {cards} CUDA device" in str(told.value)
    assert f"received 'cuda:{cards}'; name one of them" in str(told.value)


def test_bf16_that_a_card_only_emulates_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_has_bf16", lambda _: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla T4")
    with pytest.raises(DeviceError, match=r"Tesla T4 only emulates bf16, received bf16; --set .*=fp16"):
        check_precision("bf16", torch.device("cuda", 0))
    check_precision("fp16", torch.device("cuda", 0))
    check_precision("bf16", torch.device("cpu"))


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
