"""Small real folders and files to read."""

from __future__ import annotations

import gzip
import io
import struct
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from modelyard.cli import app as cli

CIFAR_CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def modelyard(*arguments: str) -> int:
    """The exit code of the command line."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stopped:
        patch.setattr(sys, "argv", ["modelyard", *arguments])
        cli.main()
    return int(stopped.value.code or 0)


def image_folder(
    folder: Path, classes: dict[str, int], *, seed: int = 0, size: tuple[int, int] = (13, 11)
) -> Path:
    """Grey PNG files of random pixels, height x width, so many for each class."""
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for name, count in classes.items():
        (folder / name).mkdir(parents=True)
        for index in range(count):
            Image.fromarray(generator.integers(0, 255, size, np.uint8)).save(folder / name / f"{index}.png")
    return folder


def idx_bytes(array: NDArray[np.uint8]) -> bytes:
    """The IDX file of an array."""
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def idx_folder(folder: Path, *, labels: int = 20, classes: int = 2, num_images: int = 20) -> Path:
    """Four IDX files, two of them gzipped: images of 6 x 5 and labels 0, 1, ... in turn."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    for part in ("train", "t10k"):
        images_NHW = generator.integers(0, 255, (num_images, 6, 5), np.uint8)
        labels_N = (np.arange(labels) % classes).astype(np.uint8)
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(images_NHW)))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(labels_N))
    return folder


def cifar_files(records: int = 20) -> dict[str, bytes]:
    """CIFAR-10's binary files with few records: label, then a red, a green and a blue plane."""
    generator = np.random.default_rng(0)
    files = {"batches.meta.txt": ("\n".join(CIFAR_CLASSES) + "\n\n").encode()}
    for name in (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"):
        labels_N1 = (np.arange(records, dtype=np.uint8) % 10)[:, None]
        pixels_NP = generator.integers(0, 255, (records, 3072), np.uint8)
        files[name] = np.concatenate([labels_N1, pixels_NP], 1).tobytes()
    return files


def tar_gz(files: dict[str, bytes], headers: dict[str, dict[str, str]] | None = None) -> bytes:
    """A gzipped tar archive of some files, with what pax says of them."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.pax_headers = len(data), (headers or {}).get(name, {})
            archive.addfile(member, io.BytesIO(data))
    return content.getvalue()
