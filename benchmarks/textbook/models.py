"""The networks people start from, in their usual form. B batch, C channels, H height, W width, T time, D
width, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

CLASSES, SIDE = 10, 28


def convolutions() -> nn.Module:
    """Two convolutions and two linear layers with dropout, 1,199,882 parameters."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25),
        nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, CLASSES),
    )  # fmt: skip


def lenet() -> nn.Module:
    """LeNet-5 with ReLU and max pooling."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, CLASSES),
    )


class RowLstm(nn.Module):
    """An LSTM over single rows; what it says after the last row is classified by `head`."""

    def __init__(self, hidden: int, layers: int, head: nn.Module) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(SIDE, hidden, layers, batch_first=True), head

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """float [B, 1, 28, 28] -> logits [B, K]."""
        states_BTD, _ = self.lstm(images_BCHW.flatten(0, 1))
        logits_BK: Tensor = self.head(states_BTD[:, -1])
        return logits_BK


def lstm_64() -> nn.Module:
    """64 units, batch norm, dropout and two linear layers."""
    head = [
        nn.BatchNorm1d(64),
        nn.Dropout(0.25),
        nn.Linear(64, 32),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(32, CLASSES),
    ]
    return RowLstm(64, 1, nn.Sequential(*head))


def lstm_2x256() -> nn.Module:
    """Two layers of 256 units and one linear layer."""
    return RowLstm(256, 2, nn.Linear(256, CLASSES))


class PatchTransformer(nn.Module):
    """Linear patches, learned positions, a class token and torch's own encoder."""

    def __init__(self, patch: int, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, width, patch, stride=patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, (SIDE // patch) ** 2 + 1, width) * 0.02)
        block = nn.TransformerEncoderLayer(
            width, heads, 2 * width, 0.1, "gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(block, layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """float [B, 1, 28, 28] -> logits [B, K]."""
        tokens_BTD = self.patches(images_BCHW).flatten(2).transpose(1, 2)
        tokens_BTD = (
            torch.cat([self.class_token.expand(len(tokens_BTD), -1, -1), tokens_BTD], 1) + self.positions
        )
        logits_BK: Tensor = self.head(self.encoder(tokens_BTD)[:, 0])
        return logits_BK


def vit() -> nn.Module:
    """Six layers of width 64 over patches of 4 x 4."""
    return PatchTransformer(4, 64, 6, 4)


class RowEncoder(nn.Module):
    """Each row is a token: a learned embedding and learned positions, an encoder, the mean over tokens."""

    def __init__(self, width: int = 128, layers: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.embedding, self.positions = (
            nn.Linear(SIDE, width),
            nn.Parameter(torch.randn(1, SIDE, width) * 0.02),
        )
        block = nn.TransformerEncoderLayer(width, heads, 2 * width, batch_first=True)
        self.encoder, self.head = nn.TransformerEncoder(block, layers), nn.Linear(width, CLASSES)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """float [B, 1, 28, 28] -> logits [B, K]."""
        tokens_BTD = self.embedding(images_BCHW.flatten(0, 1)) + self.positions
        logits_BK: Tensor = self.head(self.encoder(tokens_BTD).mean(1))
        return logits_BK


def row_encoder() -> nn.Module:
    """Two layers of width 128."""
    return RowEncoder()
