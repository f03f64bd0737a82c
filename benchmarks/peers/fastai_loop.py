"""As fastai's book has it in chapter 4, there on two digits: PNG files in folders, ResNet-18 untrained, one
cycle of one epoch.

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
from torch import nn
from torch.nn import functional

from benchmarks.textbook.folders import write_folder
from benchmarks.textbook.loop import parse_options
from modelyard.data.packed import open_packed

EPOCHS, RATE = 1, 0.1


def model() -> nn.Module:
    """The torchvision network for ten classes, which `vision_learner` gives a larger head."""
    network: nn.Module = resnet18(num_classes=10)
    return network


def main() -> None:
    """Train and print."""
    options = parse_options(__doc__)
    set_seed(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder, written = Path(name), time.time()
        dataset = open_packed(options.data, verify=False)
        write_folder(folder / "training", dataset.train)
        write_folder(folder / "testing", dataset.test)
        written = time.time() - written
        began = time.perf_counter()
        loaders = ImageDataLoaders.from_folder(folder, train="training", valid="testing")
        learner = Learner(loaders, model(), loss_func=functional.cross_entropy, metrics=accuracy)
        with learner.no_bar(), learner.no_logging():
            learner.fit_one_cycle(EPOCHS, RATE)
        score = float(learner.recorder.values[-1][-1])
        clocks = {
            "loop": time.perf_counter() - began,
            "wall": time.time() - psutil.Process().create_time() - written,
        }
        print(json.dumps({"epoch": EPOCHS, "accuracy": score} | clocks), flush=True)


if __name__ == "__main__":
    main()
