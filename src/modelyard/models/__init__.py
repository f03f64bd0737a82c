"""The architectures. `AnyModelConfig` is the only list to extend."""

from modelyard.models.bert import BertConfig
from modelyard.models.cnn import CnnConfig
from modelyard.models.custom import CustomConfig
from modelyard.models.linear import LinearConfig
from modelyard.models.rnn import RnnConfig
from modelyard.models.text_cnn import TextCnnConfig
from modelyard.models.text_rnn import TextRnnConfig
from modelyard.models.text_transformer import TextTransformerConfig
from modelyard.models.transformer import TransformerConfig

AnyModelConfig = (
    CnnConfig | RnnConfig | TransformerConfig | TextCnnConfig | TextRnnConfig | TextTransformerConfig
    | BertConfig | LinearConfig | CustomConfig
)  # fmt: skip

IS_TABLE_ROOM = True
"""A step depends on the members that its slice holds, not on the list (`steps/closure.py`)."""

__all__ = [
    "AnyModelConfig", "BertConfig", "CnnConfig", "CustomConfig", "LinearConfig", "RnnConfig", "TextCnnConfig",
    "TextRnnConfig", "TextTransformerConfig", "TransformerConfig",
]  # fmt: skip
