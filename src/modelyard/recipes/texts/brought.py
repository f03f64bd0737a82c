"""Encoders that come with their weights (`--init FOLDER`), whose config.json says what they are."""

from __future__ import annotations

from modelyard.models import BertConfig
from modelyard.recipes.texts.fixed import TextFixed

BERT = TextFixed(lambda data: BertConfig(), rate=1e-4)
