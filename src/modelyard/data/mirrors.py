"""torchvision's mirrors, the last source to be asked. Gives up within seconds when none can be reached."""

from __future__ import annotations

import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlparse

import numpy as np

from modelyard.data.datasets import Dataset, Split, make_dataset
from modelyard.errors import DataError

TORCHVISION_CLASS = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "kmnist": "KMNIST", "cifar10": "CIFAR10"}
REACH_SECONDS = 6.0
READ_SECONDS = 20.0


class SourceMissing(DataError):
    """No source has the data set."""


def fetch_from_mirror(name: str, classes: tuple[str, ...] | None) -> Dataset:
    """Download `name`. Raises: SourceMissing when no mirror answers."""
    import torchvision

    dataset_class: Any = getattr(torchvision.datasets, TORCHVISION_CLASS[name])
    addresses = list(getattr(dataset_class, "mirrors", [])) or [dataset_class.url]
    remedy = f"put its files into a folder {name}/ and set MODELYARD_DATA to the folder above it"
    if not any_reachable(addresses):
        raise SourceMissing(f"{name} is in no local folder and none of its mirrors can be reached; {remedy}")
    with tempfile.TemporaryDirectory() as folder, _socket_timeout(READ_SECONDS):
        try:
            train, test = (dataset_class(folder, train=is_train, download=True) for is_train in (True, False))
        except (OSError, RuntimeError) as error:
            raise SourceMissing(f"{name} could not be downloaded ({type(error).__name__}); {remedy}") from error
        return make_dataset(name, _split(train), _split(test), classes or tuple(train.classes))


def any_reachable(addresses: list[str], seconds: float = REACH_SECONDS) -> bool:
    """Whether a host accepts a connection in time; name look-ups that hang count as no."""
    reached = threading.Event()

    def attempt(address: str) -> None:
        parts = urlparse(address)
        try:
            socket.create_connection((parts.hostname or "", parts.port or 443), timeout=seconds).close()
        except OSError:
            return
        reached.set()

    attempts = [threading.Thread(target=attempt, args=(address,), daemon=True) for address in addresses]
    for thread in attempts:
        thread.start()
    for thread in attempts:
        thread.join(seconds / len(attempts))
    return reached.is_set()


def _split(source: Any) -> Split:
    images = np.asarray(source.data)
    images_NHWC = images[..., None] if images.ndim == 3 else images
    return Split(images_NHWC.transpose(0, 3, 1, 2), np.asarray(source.targets, np.int64))


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
