"""fastai's book on MNIST (chapter 4): PNG files in folders, a ResNet-18 without its weights, one cycle of one epoch at 0.1.

    PYTHONPATH=PACKAGES:. python -m benchmarks.peers.fastai_loop --data DIR --seed 0

The files are written before the clock starts. Prints what `benchmarks.textbook.loop` prints.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

import psutil
from fastai.vision.all import ImageDataLoaders, Learner, accuracy, resnet18, set_seed
from PIL import Image
from torch import nn
from torch.nn import functional

from benchmarks.textbook.loop import parse_options
from modelyard.data.datasets import Dataset, open_packed

EPOCHS, RATE = 1, 0.1


def write_folders(dataset: Dataset, folder: Path) -> None:
    """As the book's archive has it: training/0/..., testing/0/..."""
    for name, split in (("training", dataset.train), ("testing", dataset.test)):
        for label in range(10):
            (folder / name / str(label)).mkdir(parents=True)
        for number, (image_CHW, label) in enumerate(zip(split.images_NCHW, split.labels_N, strict=True)):
            Image.fromarray(image_CHW[0]).save(folder / name / str(label) / f"{number}.png")


def model() -> nn.Module:
    """The torchvision network for ten classes, as `vision_learner(pretrained=False)` has it but for the head."""
    network: nn.Module = resnet18(num_classes=10)
    return network


def main() -> None:
    """Train and print."""
    options = parse_options(__doc__)
    set_seed(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder, written = Path(name), time.time()
        write_folders(open_packed(options.data, verify=False), folder)
        written = time.time() - written
        began = time.perf_counter()
        loaders = ImageDataLoaders.from_folder(folder, train="training", valid="testing")
        learner = Learner(loaders, model(), loss_func=functional.cross_entropy, metrics=accuracy)
        with learner.no_bar(), learner.no_logging():
            learner.fit_one_cycle(EPOCHS, RATE)
        score = float(learner.recorder.values[-1][-1])
        clocks = {"loop": time.perf_counter() - began, "wall": time.time() - psutil.Process().create_time() - written}
        print(json.dumps({"epoch": EPOCHS, "accuracy": score} | clocks), flush=True)


if __name__ == "__main__":
    main()
