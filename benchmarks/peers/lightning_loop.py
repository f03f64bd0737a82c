"""Lightning's Trainer on a first lesson's MLP: two hidden layers of 64 units, Adam at 2e-4, batch 64, three
epochs.

    PYTHONPATH=PACKAGES:. python -m benchmarks.peers.lightning_loop --data DIR --seed 0

Prints what `benchmarks.textbook.loop` prints.
"""

from __future__ import annotations

import json
import tempfile
import time

import psutil
import pytorch_lightning as lightning
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from benchmarks.textbook.loop import BATCH, TEST_BATCH, Images, parse_options
from modelyard.data.packed import open_packed

HIDDEN, EPOCHS = 64, 3


class Lesson(lightning.LightningModule):  # type: ignore[misc]
    """The lesson's module, which also tells the test accuracy after every epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential(
            nn.Flatten(), nn.Linear(784, HIDDEN), nn.ReLU(), nn.Dropout(0.1),
            nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Dropout(0.1), nn.Linear(HIDDEN, 10),
        )  # fmt: skip
        self.right, self.began = 0, time.perf_counter()

    def training_step(self, batch: tuple[Tensor, Tensor], _index: int) -> Tensor:
        images_BCHW, labels_B = batch
        loss: Tensor = functional.nll_loss(functional.log_softmax(self.model(images_BCHW), 1), labels_B)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _index: int) -> None:
        images_BCHW, labels_B = batch
        self.right += int((self.model(images_BCHW).argmax(1) == labels_B).sum())

    def on_validation_epoch_end(self) -> None:
        if not self.trainer.sanity_checking:
            accuracy = self.right / len(self.trainer.val_dataloaders.dataset)
            clocks = {
                "loop": time.perf_counter() - self.began,
                "wall": time.time() - psutil.Process().create_time(),
            }
            print(json.dumps({"epoch": self.current_epoch + 1, "accuracy": accuracy} | clocks), flush=True)
        self.right = 0

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=2e-4)


def main() -> None:
    """Train and print."""
    options = parse_options(__doc__)
    lightning.seed_everything(options.seed)
    dataset = open_packed(options.data, verify=False)
    train, test = Images(dataset.train), Images(dataset.test)
    with tempfile.TemporaryDirectory() as folder:
        trainer = lightning.Trainer(
            accelerator="cpu",
            devices=1,
            max_epochs=EPOCHS,
            default_root_dir=folder,
            enable_progress_bar=False,
            logger=lightning.loggers.CSVLogger(folder),
        )
        trainer.fit(Lesson(), DataLoader(train, BATCH, shuffle=True), DataLoader(test, TEST_BATCH))


if __name__ == "__main__":
    main()
