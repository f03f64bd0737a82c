"""Batches are the same wherever the images lie; augmentation moves pixels and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from modelyard.data.batches import ImageFeed, free_bytes
from modelyard.data.datasets import Dataset
from modelyard.data.packed import open_packed, pack

CPU = torch.device("cpu")


def test_streamed_batches_are_the_resident_ones_bit_for_bit(digits: Dataset, tmp_path: Path) -> None:
    pack(digits, tmp_path / "packed")
    split = open_packed(tmp_path / "packed").train.take(np.arange(0, 1000, 3))
    feeds = [ImageFeed(split, CPU, resident=resident) for resident in (True, False)]
    resident, streamed = (list(feed.batches(torch.arange(333, -1, -1), 31)) for feed in feeds)
    assert len(resident) == len(streamed) == 11
    for (_, images_BCHW, labels_B), (_, streamed_BCHW, streamed_B) in zip(resident, streamed, strict=True):
        assert torch.equal(images_BCHW, streamed_BCHW)
        assert torch.equal(labels_B, streamed_B)


def test_every_image_comes_once_with_its_label(digits: Dataset) -> None:
    order_N = torch.randperm(len(digits.test), generator=torch.Generator().manual_seed(0))
    batches = list(ImageFeed(digits.test, CPU).batches(order_N, 50))
    assert torch.equal(torch.cat([rows_B for rows_B, _, _ in batches]), order_N)
    images = torch.cat([images_BCHW for _, images_BCHW, _ in batches]).numpy()
    labels = torch.cat([labels_B for _, _, labels_B in batches]).tolist()
    got = sorted((image.tobytes(), label) for image, label in zip(images, labels, strict=True))
    wanted = zip(digits.test.in_memory, digits.test.labels_N.tolist(), strict=True)
    assert got == sorted((image.tobytes(), label) for image, label in wanted)


def test_free_memory_is_the_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (123, 456))
    assert free_bytes(torch.device("cuda", 0)) == 123
    assert 0 < free_bytes(CPU) <= psutil.virtual_memory().total
