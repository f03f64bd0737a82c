"""What may be trained on texts, by the names that people type."""

from __future__ import annotations

from collections.abc import Mapping

from modelyard.models import CustomConfig
from modelyard.recipes import linear
from modelyard.recipes.recipe import Presets
from modelyard.recipes.texts.brought import BERT
from modelyard.recipes.texts.fixed import TextFixed
from modelyard.recipes.texts.textbook import CHARCNN, ENCODER, LSTM, TEXTCNN
from modelyard.recipes.texts.tuned import CNN, RNN, TRANSFORMER

TABLE: Mapping[str, Presets] = {
    "cnn": CNN.presets,
    "rnn": RNN.presets,
    "transformer": TRANSFORMER.presets,
    "textcnn": TEXTCNN.presets,
    "charcnn": CHARCNN.presets,
    "lstm": LSTM.presets,
    "encoder": ENCODER.presets,
    "bert": BERT.presets,
    "linear": linear.PRESETS,
}
COMPARED = ("cnn", "rnn", "transformer")
"""When none is named."""
BASELINES = ("linear",)
"""Always."""


def own_presets(architecture: str) -> Presets:
    """Of `path/file.py:Name`. Raises: ConfigError."""
    config = CustomConfig.parse(architecture)
    return TextFixed(lambda data: config).presets
