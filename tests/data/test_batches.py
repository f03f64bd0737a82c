"""Batches are the same wherever the images lie; augmentation moves pixels and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from modelyard.data.batches import Feed, free_bytes
from modelyard.data.datasets import Dataset
from modelyard.data.packed import open_packed, pack

CPU = torch.device("cpu")


def test_streamed_batches_are_the_resident_ones_bit_for_bit(digits: Dataset, tmp_path: Path) -> None:
    pack(digits, tmp_path / "packed")
    split = open_packed(tmp_path / "packed").train.take(np.arange(0, 1000, 3))
    feeds = [Feed(split, CPU, resident=resident) for resident in (True, False)]
    rows = torch.split(torch.arange(333, -1, -1), 31)
    resident, streamed = ([*feed.batches(rows), *feed.in_blocks(77)] for feed in feeds)
    assert len(resident) == len(streamed) == 11 + 5
    for first, second in zip(resident, streamed, strict=True):
        assert torch.equal(first.inputs[0], second.inputs[0])
        assert torch.equal(first.labels_B, second.labels_B)
        assert torch.equal(first.rows_B, second.rows_B)
        assert np.array_equal(split.gather(first.rows_B.numpy()), first.inputs[0].numpy())


def test_every_image_comes_once_with_its_label(digits: Dataset) -> None:
    order_N = torch.randperm(len(digits.test), generator=torch.Generator().manual_seed(0))
    batches = list(Feed(digits.test, CPU).batches(torch.split(order_N, 50)))
    assert torch.equal(torch.cat([batch.rows_B for batch in batches]), order_N)
    images = torch.cat([batch.inputs[0] for batch in batches]).numpy()
    labels = torch.cat([batch.labels_B for batch in batches]).tolist()
    got = sorted((image.tobytes(), label) for image, label in zip(images, labels, strict=True))
    wanted = zip(digits.test.in_memory, digits.test.labels_N.tolist(), strict=True)
    assert got == sorted((image.tobytes(), label) for image, label in wanted)


def test_free_memory_is_the_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (123, 456))
    assert free_bytes(torch.device("cuda", 0)) == 123
    assert 0 < free_bytes(CPU) <= psutil.virtual_memory().total
