"""Small networks of each architecture, whose weights and answers of before they had stem, blocks and head lie
in `tests/fixtures/a786821/networks.safetensors`.
"""

from __future__ import annotations

from modelyard.models import (
    AnyModelConfig,
    CnnConfig,
    RnnConfig,
    TextCnnConfig,
    TextRnnConfig,
    TextTransformerConfig,
    TransformerConfig,
)

IMAGES: dict[str, AnyModelConfig] = {
    "cnn": CnnConfig(width=3, residuals=2, dropout=0),
    "cnn of strides": CnnConfig(width=3, stages=2, downsample="stride", residuals=0),
    "cnns": CnnConfig(width=2, members=2, mirrored=True),
    "resnet": CnnConfig(variant="resnet", width=3, stages=3),
    "lenet": CnnConfig(variant="lenet"),
    "rnn": RnnConfig(hidden=5, layers=2),
    "lstm": RnnConfig(variant="lstm", hidden=5),
    "transformer": TransformerConfig(width=8, layers=2, heads=2),
    "pooling transformer": TransformerConfig(width=8, layers=1, heads=2, stem="pool"),
    "vit": TransformerConfig(variant="vit", width=8, layers=2, heads=2),
}
TEXTS: dict[str, AnyModelConfig] = {
    "text-cnn": TextCnnConfig(embedding=4, ngrams=2, words=1, buckets=16, width=6, patch=2),
    "textcnn": TextCnnConfig(variant="textcnn", embedding=4, width=5),
    "charcnn": TextCnnConfig(variant="charcnn", embedding=4, width=5),
    "text-rnn": TextRnnConfig(embedding=4, hidden=5, layers=2, patch=2),
    "text-lstm": TextRnnConfig(variant="lstm", embedding=4, hidden=5),
    "text-transformer": TextTransformerConfig(embedding=4, width=8, layers=2, heads=2),
    "encoder": TextTransformerConfig(variant="encoder", embedding=4, width=8, layers=1, heads=2),
    "text-rnns": TextRnnConfig(embedding=4, hidden=3, members=2),
}
