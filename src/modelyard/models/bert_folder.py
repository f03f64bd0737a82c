"""Encoders of texts as Hugging Face keeps them: config.json, model.safetensors, tokenizer.json and, of
sentence encoders, how they are pooled.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from modelyard.errors import ConfigError
from modelyard.files import read_regular
from modelyard.models.bert import BertConfig
from modelyard.models.brought import read_settings
from modelyard.samples.subwords import TOKENIZER_BYTES, TOKENIZER_FILE, adapted
from modelyard.samples.symbols import SUBWORDS, Symbols

CONFIG, SENTENCES, POOLING = "config.json", "sentence_bert_config.json", "1_Pooling/config.json"
EXPECTED = {"hidden_act": "gelu", "position_embedding_type": "absolute", "is_decoder": False}
"""What ours does, and theirs does unless told otherwise."""
POOLED = {"pooling_mode_cls_token": "first", "pooling_mode_max_tokens": "highest"}
"""By what sentence-transformers calls it; the mean where nothing is said."""
UNUSED_ROWS = 1024
"""Of a table of embeddings that is padded to a round number."""


@dataclass(frozen=True, slots=True)
class Family:
    """Encoders of one `model_type`."""

    start: str
    """What names of tensors begin with in a model with a head."""
    before: int | None = 0
    """Rows before the first place in the table of positions; None: one more than the number that pads."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Our names of keys of config.json -> theirs."""
    names: tuple[tuple[str, str], ...] = ()
    """What stands in names of tensors -> what stands there in those of BERT."""


FAMILIES = {
    "bert": Family("bert."),
    "roberta": Family("roberta.", None),
    "xlm-roberta": Family("roberta.", None),
    "distilbert": Family(
        "distilbert.",
        keys={
            "hidden_size": "dim", "num_hidden_layers": "n_layers", "num_attention_heads": "n_heads",
            "intermediate_size": "hidden_dim", "hidden_act": "activation",
        },
        names=(
            ("transformer.layer.", "encoder.layer."), (".q_lin.", ".self.query."), (".k_lin.", ".self.key."),
            (".v_lin.", ".self.value."), (".out_lin.", ".output.dense."),
            (".sa_layer_norm.", ".attention.output.LayerNorm."),
            (".output_layer_norm.", ".output.LayerNorm."),
            (".ffn.lin1.", ".intermediate.dense."), (".ffn.lin2.", ".output.dense."),
        ),
    ),
}  # fmt: skip
"""By `model_type` in config.json."""
TABLES = tuple(f"embeddings.{name}_embeddings.weight" for name in ("word", "position", "token_type"))
NAMES = {
    "embeddings.LayerNorm": "stem.norm",
    "attention.output.dense": "out",
    "attention.output.LayerNorm": "attention_norm",
    "intermediate.dense": "mlp.0",
    "output.dense": "mlp.2",
    "output.LayerNorm": "mlp_norm",
}
LAYER = re.compile(r"encoder\.layer\.(\d+)\.(.+)\.(weight|bias)")
JOINED = tuple(f"attention.self.{part}" for part in ("query", "key", "value"))
"""Ours multiplies by the three at once."""


def words(folder: Path) -> list[str]:
    """What the folder says of the network, as `--set` takes it. Raises: ConfigError."""
    told, family = _told(folder)
    for key, expected in EXPECTED.items():
        if (received := told.get(family.keys.get(key, key), expected)) != expected:
            raise ConfigError(
                f"{folder / CONFIG}: {key}: expected {expected}, received {str(received)[:60]!r}"
            )
    width, inner = _size(folder, "hidden_size"), _size(folder, "intermediate_size")
    if inner % width:
        raise ConfigError(f"{folder / CONFIG}: expected an MLP a multiple of {width} wide, received {inner}")
    given = {
        "width": width, "layers": _size(folder, "num_hidden_layers"),
        "heads": _size(folder, "num_attention_heads"), "mlp_ratio": inner // width,
        "positions": _longest(folder), "epsilon": told.get("layer_norm_eps", 1e-12),
        "pooling": _pooling(folder),
    }  # fmt: skip
    return [f"model.{name}={value}" for name, value in given.items()]


def symbols(folder: Path, model: BertConfig) -> Symbols:
    """The tokenizer that lies beside the weights. Raises: ConfigError."""
    file, rows, (told, _) = folder / TOKENIZER_FILE, _size(folder, "vocab_size"), _told(folder)
    try:
        content = read_regular(file, TOKENIZER_BYTES)
    except OSError as error:
        raise ConfigError(
            f"{file}: expected the encoder's tokenizer ({error.strerror}); AutoTokenizer of transformers "
            "writes it: save_pretrained(FOLDER)"
        ) from None
    try:
        made = Symbols(SUBWORDS, (adapted(content, told.get("pad_token_id"), model.positions),))
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from None
    if not rows - UNUSED_ROWS < made.count <= rows:
        raise ConfigError(
            f"{file}: expected the encoder's vocabulary of {rows} subwords, received one of {made.count}; "
            "copy the tokenizer that the encoder was trained with"
        )
    return made


def renamed(tensors: Mapping[str, Tensor], folder: Path, model: BertConfig) -> dict[str, Tensor]:
    """By the names of ours; what has none there keeps its own.

    Raises: ConfigError where the tables of embeddings are not as config.json says.
    """
    _, family = _told(folder)
    given = {_as_bert(name.removeprefix(family.start), family): tensor for name, tensor in tensors.items()}
    found = _tables(given, folder, model)
    for name, tensor in given.items():
        whole, _, kind = name.rpartition(".")
        if layer := LAYER.fullmatch(name):
            number, part, kind = layer.groups()
            start = f"encoder.layer.{number}."
            if part == JOINED[0] and all(f"{start}{one}.{kind}" in given for one in JOINED):
                parts = [given[f"{start}{one}.{kind}"] for one in JOINED]
                found[f"blocks.{number}.qkv.{kind}"] = torch.cat(parts)
            elif part not in JOINED:
                found[f"blocks.{number}.{NAMES[part]}.{kind}" if part in NAMES else name] = tensor
        elif name not in TABLES:
            found[f"{NAMES[whole]}.{kind}" if whole in NAMES else name] = tensor
    return found


def _tables(given: Mapping[str, Tensor], folder: Path, model: BertConfig) -> dict[str, Tensor]:
    """Of subwords, 0 that pads, and of places, with the embedding of the only segment in it."""
    told, family = _told(folder)
    word_VD, place_PD = (given.get(name, torch.zeros(0, 0)) for name in TABLES[:2])
    segment_SD, padding = given.get(TABLES[2]), told.get("pad_token_id", 0)
    before = padding + 1 if family.before is None else family.before
    for name, table, rows in (
        ("vocab_size", word_VD, _size(folder, "vocab_size")),
        ("max_position_embeddings", place_PD, _size(folder, "max_position_embeddings")),
    ):
        if list(table.shape) != [rows, model.width]:
            raise ConfigError(
                f"{folder / CONFIG}: {name}: expected as the weights have, {list(table.shape)}, received "
                f"{[rows, model.width]}"
            )
    order_V = torch.arange(symbols(folder, model).count)
    order_V[[0, padding]] = order_V[[padding, 0]]
    place_PD = place_PD[before : before + model.positions]
    if segment_SD is not None:
        place_PD = place_PD + segment_SD[0]
    return {"stem.symbols.weight": word_VD[order_V], "stem.positions.weight": place_PD}


def _as_bert(name: str, family: Family) -> str:
    for theirs, bert in family.names:
        name = name.replace(theirs, bert)
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def _told(folder: Path) -> tuple[dict[str, Any], Family]:
    told = read_settings(folder, CONFIG)
    return told, FAMILIES[told["model_type"]]


def _size(folder: Path, key: str) -> int:
    told, family = _told(folder)
    size = told.get(family.keys.get(key, key))
    if type(size) is not int or not 0 < size <= 2**20:
        raise ConfigError(f"{folder / CONFIG}: {key}: expected a number, received {str(size)[:60]!r}")
    return size


def _longest(folder: Path) -> int:
    """Subwords that it was trained to read."""
    told, family = _told(folder)
    before = told.get("pad_token_id", 0) + 1 if family.before is None else family.before
    most = _size(folder, "max_position_embeddings") - before
    usual = read_settings(folder, SENTENCES).get("max_seq_length")
    return min(most, usual) if type(usual) is int else most


def _pooling(folder: Path) -> str:
    told = read_settings(folder, POOLING)
    return next((name for key, name in POOLED.items() if told.get(key) is True), "mean")
