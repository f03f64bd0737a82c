"""The image as patches: a Transformer (Dosovitskiy et al. 2021).

B batch, C channels, H height, W width, T tokens, D model width, N heads, K classes.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from modelyard.models.combined import CombinedConfig
from modelyard.models.network import Network
from modelyard.samples import ImageForm


class TransformerConfig(CombinedConfig):
    """A pre-norm encoder over patches with learned positions."""

    architecture: Literal["transformer"] = "transformer"
    variant: Literal["tuned", "vit"] = "tuned"
    """`tuned`: a convolution stem and the mean over tokens; `vit`: linear patches and a class token."""
    patch: int = Field(8, ge=2)
    """Patch side in pixels, even for `tuned`, a multiple of 4 with `stem=pool`; images are padded to a
    multiple of it.
    """
    stem: Literal["stride", "pool"] = "stride"
    """Convolutions of `tuned`: two with strides, or three with maxima over 2 x 2 (Hassani et al. 2021) and
    more work.
    """
    width: int = Field(64, ge=8, le=4096)
    """Model width D."""
    layers: int = Field(4, ge=1, le=64)
    """Encoder blocks."""
    heads: int = Field(4, ge=1, le=64)
    """Attention heads; must divide the width."""
    mlp_ratio: int = Field(2, ge=1, le=8)
    """Hidden width of each block's MLP over D."""
    norm_epsilon: float | None = Field(None, gt=0, le=0.1)
    """Added to the variances of layer norms; None: torch's. Brought weights have their own."""

    @model_validator(mode="after")
    def _heads_divide_width(self) -> TransformerConfig:
        if self.width % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide width ({self.width})")
        if self.variant == "tuned" and self.patch % 2:
            raise ValueError(f"patch ({self.patch}) must be even: the stem halves the image first")
        if self.variant == "tuned" and self.stem == "pool" and self.patch % 4:
            raise ValueError(
                f"patch ({self.patch}) must be a multiple of 4: the pooling stem halves the image twice"
            )
        return self

    def network(self, form: ImageForm, num_classes: int) -> Network:
        """What is trained, for samples of `form`."""
        network = Transformer(self, form, num_classes)
        for part in network.modules() if self.norm_epsilon else ():
            if isinstance(part, nn.LayerNorm):
                part.eps = self.norm_epsilon or part.eps
        return network


class Block(nn.Module):
    """Attention and MLP, each behind a layer norm and around a residual."""

    def __init__(self, width: int, heads: int, mlp_ratio: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, mlp_ratio * width), nn.GELU(), nn.Linear(mlp_ratio * width, width)
        )

    def forward(self, tokens_BTD: Tensor, keys_B11T: Tensor | None = None) -> Tensor:
        """[B, T, D] -> [B, T, D]; `keys_B11T` is added to what each token attends to."""
        _, num_tokens, width = tokens_BTD.shape
        qkv_BTD = self.qkv(self.attention_norm(tokens_BTD))
        qkv_3BNTD = qkv_BTD.reshape(-1, num_tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        query, key, value = qkv_3BNTD.unbind(0)
        mixed_BNTD = functional.scaled_dot_product_attention(query, key, value, keys_B11T)
        tokens_BTD = tokens_BTD + self.out(mixed_BNTD.transpose(1, 2).reshape(-1, num_tokens, width))
        result_BTD: Tensor = tokens_BTD + self.mlp(self.mlp_norm(tokens_BTD))
        return result_BTD


def _patch_stem(channels: int, config: TransformerConfig) -> nn.Module:
    return nn.Conv2d(channels, config.width, config.patch, stride=config.patch)


def _convolution_stem(channels: int, config: TransformerConfig) -> nn.Module:
    """Overlapping convolutions in place of linear patches (Xiao et al. 2021)."""
    inner, stride = config.width // 2, config.patch // (4 if config.stem == "pool" else 2)
    if config.stem == "pool":
        reach = (stride + 1) // 2
        return nn.Sequential(
            nn.Conv2d(channels, inner, 5, padding=2, bias=False),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Conv2d(inner, config.width, 3, padding=1, bias=False),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(config.width),
            nn.ReLU(),
            nn.Conv2d(config.width, config.width, 2 * reach + 1, stride=stride, padding=reach),
        )
    return nn.Sequential(
        nn.Conv2d(channels, inner, 5, stride=2, padding=2, bias=False),
        nn.BatchNorm2d(inner),
        nn.ReLU(),
        nn.Conv2d(inner, config.width, stride + 1, stride=stride, padding=stride // 2),
    )


class Tokens(nn.Module):
    """Patches with their positions, behind the class token where there is one."""

    def __init__(self, config: TransformerConfig, form: ImageForm) -> None:
        super().__init__()
        channels, height, width = form.chw
        down, right = -height % config.patch, -width % config.patch
        self.padding = (0, right, 0, down)
        num_patches = (height + down) // config.patch * ((width + right) // config.patch)
        self.has_class_token = config.variant == "vit"
        self.patches = (
            _patch_stem(channels, config) if self.has_class_token else _convolution_stem(channels, config)
        )
        if self.has_class_token:
            self.class_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.positions = nn.Parameter(torch.randn(1, num_patches + self.has_class_token, config.width) * 0.02)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """float [B, C, H, W] -> [B, T, D]."""
        patches_BDHW = self.patches(functional.pad(images_BCHW, self.padding))
        tokens_BTD: Tensor = patches_BDHW.flatten(2).transpose(1, 2)
        if self.has_class_token:
            tokens_BTD = torch.cat([self.class_token.expand(tokens_BTD.shape[0], -1, -1), tokens_BTD], 1)
        return tokens_BTD + self.positions


class Transformer(Network):
    """Patches, positions, blocks, one linear layer."""

    stem: Tokens
    FORMER: ClassVar = {
        "class_token": "stem.class_token", "positions": "stem.positions", "stem.": "stem.patches.",
    }  # fmt: skip

    def __init__(self, config: TransformerConfig, form: ImageForm, num_classes: int) -> None:
        super().__init__()
        self.stem = Tokens(config, form)
        self.blocks = nn.Sequential(
            *(Block(config.width, config.heads, config.mlp_ratio) for _ in range(config.layers))
        )
        self.norm, self.dropout = nn.LayerNorm(config.width), nn.Identity()
        self.head = nn.Linear(config.width, num_classes)

    def features(self, images_BCHW: Tensor) -> Tensor:
        """float [B, C, H, W] -> [B, D]."""
        tokens_BTD: Tensor = self.norm(self.blocks(self.stem(images_BCHW)))
        return tokens_BTD[:, 0] if self.stem.has_class_token else tokens_BTD.mean(1)
