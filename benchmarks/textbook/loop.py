"""The loop people start from: PIL images transformed one by one in a DataLoader, test images after every
epoch.

    python -m benchmarks.textbook.loop convolutions --data DIR --seed 0 [--stop-at 0.99]

DIR holds packed MNIST. Prints a JSON line an epoch: test accuracy, and seconds since the loop began with the
images in memory (evaluation included) and since the process began.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision import transforms

from benchmarks.textbook import models
from modelyard.data.datasets import Split
from modelyard.data.packed import open_packed

BATCH, TEST_BATCH = 64, 1000
MEAN, DEVIATION = 0.1307, 0.3081


@dataclass(frozen=True, slots=True)
class Textbook:
    """A network with its optimizer, epochs and factor of the learning rate after each epoch."""

    model: Callable[[], nn.Module]
    optimizer: Callable[[nn.Module], torch.optim.Optimizer]
    epochs: int
    decay: float = 1.0


def _adam(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.parameters(), lr=1e-3)


TEXTBOOKS = {
    "convolutions": Textbook(
        models.convolutions, lambda model: torch.optim.Adadelta(model.parameters(), lr=1.0), 14, 0.7
    ),
    "lstm_64": Textbook(
        models.lstm_64, lambda model: torch.optim.Adadelta(model.parameters(), lr=0.1), 14, 0.7
    ),
    "vit": Textbook(models.vit, lambda model: torch.optim.AdamW(model.parameters(), lr=1e-3), 20),
    "lenet": Textbook(models.lenet, lambda model: torch.optim.SGD(model.parameters(), lr=1e-3), 10),
    "lstm_2x256": Textbook(models.lstm_2x256, _adam, 10),
    "row_encoder": Textbook(models.row_encoder, _adam, 10),
}
"""The first three are the usual examples, the last three the tutorials."""


class Images(TorchDataset[tuple[Tensor, int]]):
    """What torchvision's MNIST does: each image becomes a PIL image, then a normalised tensor."""

    def __init__(self, split: Split) -> None:
        self.images_NHW, self.labels = split.in_memory[:, 0], split.labels_N.tolist()
        self.transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize((MEAN,), (DEVIATION,))]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images_NHW[index])), self.labels[index]


def on(device: str, loader: DataLoader[tuple[Tensor, int]]) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches where the model is."""
    return ((images_BCHW.to(device), labels_B.to(device)) for images_BCHW, labels_B in loader)


def train_epoch(
    model: nn.Module,
    loader: DataLoader[tuple[Tensor, int]],
    optimizer: torch.optim.Optimizer,
    device: str = "cpu",
) -> None:
    """One pass."""
    model.train()
    for images_BCHW, labels_B in on(device, loader):
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(images_BCHW), labels_B)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def accuracy(model: nn.Module, loader: DataLoader[tuple[Tensor, int]], device: str = "cpu") -> float:
    """Share of right answers."""
    model.eval()
    right = total = 0
    with torch.no_grad():
        for images_BCHW, labels_B in on(device, loader):
            right += int((model(images_BCHW).argmax(1) == labels_B).sum())
            total += len(labels_B)
    return right / total


def parse_options(documentation: str | None, *, names: tuple[str, ...] = ()) -> argparse.Namespace:
    """Of a loop's command line; `names` are the textbooks it may be asked for, and cut short."""
    parser = argparse.ArgumentParser(
        description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    if names:
        parser.add_argument("name", choices=names)
        parser.add_argument("--epochs", type=int, default=0, help="0: the textbook's own number")
        parser.add_argument("--stop-at", type=float, default=2.0, help="test accuracy after which it ends")
        parser.add_argument(
            "--device",
            default="cpu",
            help="cuda: with one worker that loads, as the usual example has it there",
        )
    return parser.parse_args()


def marks(options: argparse.Namespace) -> Iterator[dict[str, float]]:
    """Train; what each epoch came to."""
    torch.manual_seed(options.seed)
    dataset, textbook = open_packed(options.data, verify=False), TEXTBOOKS[options.name]
    train, test = Images(dataset.train), Images(dataset.test)
    began = time.perf_counter()
    model = textbook.model().to(options.device)
    loading: dict[str, Any] = {"num_workers": 1, "pin_memory": True} if options.device == "cuda" else {}
    optimizer = textbook.optimizer(model)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, textbook.decay)
    for epoch in range(1, (options.epochs or textbook.epochs) + 1):
        train_epoch(model, DataLoader(train, BATCH, shuffle=True, **loading), optimizer, options.device)
        score = accuracy(model, DataLoader(test, TEST_BATCH, **loading), options.device)
        schedule.step()
        now = time.perf_counter() - began
        yield {
            "epoch": epoch,
            "accuracy": score,
            "loop": now,
            "wall": time.time() - psutil.Process().create_time(),
        }
        if score >= options.stop_at:
            break


def main() -> None:
    """Train and print."""
    for mark in marks(parse_options(__doc__, names=tuple(TEXTBOOKS))):
        print(json.dumps(mark), flush=True)


if __name__ == "__main__":
    main()
