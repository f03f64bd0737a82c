"""What training costs as data, images and models grow; streaming from disk beside memory; packing a large
folder.

    python -m benchmarks.scaling [--parts data image model stream folder] [--folder-images 1000000] [--out
    DIR]

`data` trains the standard CNN's whole recipe on the first images of a data set. `image` and `model` time
steps on random pixels. `stream` writes random images of 3 x 32 x 32 (`--stream-images`), trains one epoch of
the sprint's CNN on them in memory, then again under a memory limit below their size (a control group, where
this user may make one; otherwise the file's pages are dropped first). `folder` writes as many PNG files of 28
x 28, packs them, and opens them again.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from benchmarks.textbook.evidence import machine
from benchmarks.textbook.folders import write_folder
from modelyard.data.datasets import Split
from modelyard.data.options import FolderOptions
from modelyard.data.splits import Splits, make_splits
from modelyard.evaluation.predict import predict_logits
from modelyard.recipes.named import make_recipe
from modelyard.sources.cache import load_folder
from modelyard.sources.peek import describe
from modelyard.sources.sources import load_dataset
from modelyard.training.loop import train
from modelyard.training.placement import Single

CPU = torch.device("cpu")
GROUP = Path("/sys/fs/cgroup/memory")
Row = tuple[object, ...]
Result = TypeVar("Result")
LEAST_LIMIT = 1_000_000_000
"""Bytes; torch and its libraries want some of them."""


def print_table(title: str, header: Row, rows: Iterable[Row]) -> None:
    """Markdown, a row as soon as it is measured."""
    print(f"\n{title}\n\n| {' | '.join(map(str, header))} |\n|{'---|' * len(header)}", flush=True)
    for row in rows:
        print(
            f"| {' | '.join(f'{cell:.4g}' if isinstance(cell, float) else str(cell) for cell in row)} |",
            flush=True,
        )


def random_split(count: int, shape: tuple[int, int, int], stored: np.ndarray | None = None) -> Split:
    """Random pixels and labels of ten classes."""
    draw = np.random.default_rng(0)
    images_NCHW = draw.integers(0, 256, (count, *shape), np.uint8) if stored is None else stored
    return Split(images_NCHW, draw.integers(0, 10, count))


def epoch_seconds(split: Split, preset: str, changes: tuple[str, ...] = ()) -> tuple[float, int]:
    """Of one epoch of the CNN without validation worth mentioning, and the model's parameters."""
    recipe = make_recipe("cnn", preset, describe("mnist"))
    recipe = recipe.override(["training.epochs=1", "training.min_steps=0", *changes])
    torch.manual_seed(0)
    model = recipe.model.build(split.form, 10)
    few = split.take(np.arange(100))
    result = train(model, Splits(split, few, few), recipe.training, seed=0, placement=Single(CPU))
    return result.history[0].seconds, sum(parameter.numel() for parameter in model.parameters())


def data_rows(options: argparse.Namespace) -> Iterator[Row]:
    """Images, seconds, milliseconds for an image of an epoch, steps, accuracy: the standard recipe on less of
    MNIST.
    """
    dataset = load_dataset(options.dataset)
    for count in (1000, 3000, 10_000, 30_000, 60_000):
        recipe = make_recipe("cnn", "standard", describe("mnist"))
        recipe = recipe.override([f"training.max_train_images={count}"])
        splits = make_splits(dataset, recipe.data)
        torch.manual_seed(0)
        model = recipe.model.build(dataset.form, 10)
        result = train(model, splits, recipe.training, seed=0, placement=Single(CPU))
        right = predict_logits(result.model, splits.test, CPU).argmax(1).numpy() == splits.test.labels_N
        first = result.history[0].seconds
        yield (
            result.train_samples,
            len(result.history),
            result.seconds,
            1000 * first / result.train_samples,
            100 * right.mean(),
        )


def image_rows(_options: argparse.Namespace) -> Iterator[Row]:
    """Side, milliseconds for an image, the same for 1,000 pixels."""
    for side in (14, 28, 56, 112, 224):
        count = max(512, 4096 * 28 * 28 // side**2)
        each = (
            statistics.median(
                epoch_seconds(random_split(count, (1, side, side)), "standard")[0] for _ in range(3)
            )
            / count
        )
        yield side, 1000 * each, 1000 * each / side**2 * 1000


def model_rows(_options: argparse.Namespace) -> Iterator[Row]:
    """Width, parameters, milliseconds for an image."""
    split = random_split(4096, (1, 28, 28))
    for width in (8, 16, 24, 48, 96):
        runs = [epoch_seconds(split, "standard", (f"model.width={width}",)) for _ in range(3)]
        yield width, runs[0][1], 1000 * statistics.median(seconds for seconds, _ in runs) / len(split)


def stream_rows(options: argparse.Namespace) -> Iterator[Row]:
    """Where the images lie, limit, images a second, and the same over memory's."""
    path, shape, count = options.out / "stream.npy", (3, 32, 32), options.stream_images
    stored = np.lib.format.open_memmap(path, "w+", np.uint8, (count, *shape))
    for start in range(0, count, 10_000):
        stored[start : start + 10_000] = random_split(min(10_000, count - start), shape).samples
    stored.flush()
    megabytes = count * 3072 // 1_000_000
    resident = count / epoch_seconds(random_split(count, shape, np.load(path)), "sprint")[0]
    yield "memory", "none", megabytes, resident, 1.0
    del stored
    with memory_limit(path, max(LEAST_LIMIT, megabytes * 1_000_000 // 2)) as limit:
        streamed = (
            count / epoch_seconds(random_split(count, shape, np.load(path, mmap_mode="r")), "sprint")[0]
        )
    yield "disk", limit, megabytes, streamed, streamed / resident
    path.unlink()


@contextmanager
def memory_limit(path: Path, size: int) -> Iterator[str]:
    """Put this process into a group that may have `size` bytes, or at least forget the file's pages."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    group = GROUP / "modelyard-scaling"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(size))
        (group / "cgroup.procs").write_text(str(os.getpid()))
    except OSError:
        yield "none, pages dropped"
        return
    yield f"{size // 1_000_000} MB"
    (GROUP / "cgroup.procs").write_text(str(os.getpid()))
    group.rmdir()


def folder_rows(options: argparse.Namespace) -> Iterator[Row]:
    """What was done, files, seconds, files a second, megabytes a second of files read."""
    folder, count = options.out / "folder", options.folder_images
    seconds, _ = timed(lambda: write_folder(folder, load_dataset(options.dataset).train, count))
    size = sum(entry.stat().st_size for part in folder.iterdir() for entry in os.scandir(part)) / 1e6
    yield "written, one process", count, seconds, count / seconds, size / seconds
    for what in ("packed, first time", "opened again"):
        seconds, dataset = timed(lambda: load_folder(folder, FolderOptions()))
        assert len(dataset.train) + len(dataset.test) == count
        yield what, count, seconds, count / seconds, size / seconds


def timed(call: Callable[[], Result]) -> tuple[float, Result]:
    """Seconds, and what the call gives."""
    began = time.perf_counter()
    result = call()
    return time.perf_counter() - began, result


PARTS = {
    "data": ("Data size, the standard CNN", ("images", "epochs", "s", "ms an image", "test %"), data_rows),
    "image": ("Image size, the standard CNN", ("side", "ms an image", "us for 1,000 pixels"), image_rows),
    "model": ("Model size, images of 28 x 28", ("width", "parameters", "ms an image"), model_rows),
    "stream": ("Larger than memory", ("images in", "limit", "MB", "images/s", "of memory's"), stream_rows),
    "folder": ("A folder of PNG files", ("", "files", "s", "files/s", "MB/s"), folder_rows),
}


def main() -> int:
    """Measure the parts that were asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--folder-images", type=int, default=1_000_000)
    parser.add_argument("--stream-images", type=int, default=600_000, help="3 KB each")
    parser.add_argument("--out", type=Path, help="where the large files are written for a while")
    options = parser.parse_args()
    print(f"{machine()}, torch {torch.__version__} with {torch.get_num_threads()} threads")
    with tempfile.TemporaryDirectory(dir=options.out) as name:
        options.out = Path(name)
        os.environ["MODELYARD_CACHE"] = str(options.out / "cache")
        for part in options.parts:
            title, header, rows = PARTS[part]
            print_table(title, header, rows(options))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
