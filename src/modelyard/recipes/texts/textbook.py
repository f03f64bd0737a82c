"""The forms in which papers and textbooks print the networks of texts, trained as ours."""

from __future__ import annotations

from modelyard.models import TextCnnConfig, TextRnnConfig, TextTransformerConfig
from modelyard.recipes.texts.fixed import TextFixed
from modelyard.recipes.texts.tuned import CHINESE
from modelyard.samples.symbols import Alphabet
from modelyard.sources.known import Traits


def _tokens(data: Traits) -> Alphabet:
    """What a textbook takes for a token: words, or characters where no blanks part words."""
    return "chars" if data.name in CHINESE else "words"


TEXTCNN = TextFixed(
    lambda data: TextCnnConfig(
        variant="textcnn", alphabet=_tokens(data), embedding=128, width=100, dropout=0.5
    ),
    rate=1e-3,
)
"""Kim's, with embeddings learnt from the start."""
CHARCNN = TextFixed(
    lambda data: TextCnnConfig(variant="charcnn", embedding=32, width=128, dropout=0.5), rate=1e-3
)
"""That of Zhang et al., half as wide, over bytes."""
LSTM = TextFixed(
    lambda data: TextRnnConfig(variant="lstm", alphabet=_tokens(data), embedding=128, hidden=128)
)
"""One layer that reads forwards."""
ENCODER = TextFixed(
    lambda data: TextTransformerConfig(
        variant="encoder", alphabet=_tokens(data), embedding=128, width=128, dropout=0.1
    ),
    rate=1e-3,
)
"""Embeddings, positions, two blocks, the mean over tokens."""
