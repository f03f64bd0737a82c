"""Small encoders of texts as folders of Hugging Face's, with random weights, and what they compute by the
names of their tensors.

B batch, L length, D width.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor
from torch.nn import functional

WIDTH, LAYERS, HEADS, INNER, PLACES = 12, 2, 3, 24, 40
WORDS = (
    "the",
    "a",
    "dog",
    "cat",
    "bites",
    "man",
    "##s",
    "##ing",
    "?",
    "[",
    "]",
    "sep",
    *"abcdefghijklmnopqrstuvwxyz",
)
LETTERS = tuple(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")


def word_pieces() -> Tokenizer:
    """As BERT's: small letters, [CLS] and [SEP] around them, 0 pads."""
    words = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", *dict.fromkeys((*WORDS, *LETTERS)))
    made = Tokenizer(models.WordPiece({word: at for at, word in enumerate(words)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    made.enable_padding(length=8)
    return made


def byte_pairs() -> Tokenizer:
    """As RoBERTa's: pairs of bytes, <s> and </s> around them, 1 pads."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = ("<s>", "<pad>", "</s>", "<unk>", *letters, "th", "the", "Ġd", "Ġdo", "Ġdog", "<mask>")
    merges = [("t", "h"), ("th", "e"), ("Ġ", "d"), ("Ġd", "o"), ("Ġdo", "g")]
    made = Tokenizer(models.BPE({word: at for at, word in enumerate(words)}, merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    made.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    return made


def sentence_pieces() -> Tokenizer:
    """As XLM-R's: pieces with scores, <s> and </s> around them, 1 pads, <mask> stands beside the pieces."""
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces += [
        (piece, -float(at)) for at, piece in enumerate(("▁the", "▁dog", "▁", *"abcdefghijklmnopqrstuvwxyz?"))
    ]
    made = Tokenizer(models.Unigram(pieces, 3, byte_fallback=False))
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(" ", " ")])
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    made.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    return made


TOKENIZERS = {
    "bert": word_pieces, "distilbert": word_pieces, "roberta": byte_pairs, "xlm-roberta": sentence_pieces,
}  # fmt: skip


NAMES = {
    "query": "attention.self.query", "key": "attention.self.key", "value": "attention.self.value",
    "out": "attention.output.dense", "first": "attention.output.LayerNorm", "inner": "intermediate.dense",
    "outer": "output.dense", "second": "output.LayerNorm",
}  # fmt: skip
DISTILLED = {
    "query": "attention.q_lin", "key": "attention.k_lin", "value": "attention.v_lin",
    "out": "attention.out_lin", "first": "sa_layer_norm", "inner": "ffn.lin1",
    "outer": "ffn.lin2", "second": "output_layer_norm",
}  # fmt: skip
SHAPES = {
    "query": (WIDTH, WIDTH), "key": (WIDTH, WIDTH), "value": (WIDTH, WIDTH), "out": (WIDTH, WIDTH),
    "first": (WIDTH,), "inner": (INNER, WIDTH), "outer": (WIDTH, INNER), "second": (WIDTH,),
}  # fmt: skip
PADS = {"bert": 0, "distilbert": 0, "roberta": 1, "xlm-roberta": 1}
STARTS = {"bert": "bert.", "distilbert": "distilbert.", "roberta": "roberta.", "xlm-roberta": "roberta."}


def name_of(family: str, layer: int, role: str) -> str:
    """Without weight and bias."""
    if family == "distilbert":
        return f"transformer.layer.{layer}.{DISTILLED[role]}"
    return f"encoder.layer.{layer}.{NAMES[role]}"


def tensors_of(family: str, rows: int) -> dict[str, Tensor]:
    """By the names that transformers gives them."""
    draw = torch.Generator().manual_seed(0)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (rows, WIDTH),
        "embeddings.position_embeddings.weight": (PLACES, WIDTH),
        "embeddings.LayerNorm.weight": (WIDTH,), "embeddings.LayerNorm.bias": (WIDTH,),
    }  # fmt: skip
    if family != "distilbert":
        shapes |= {
            "embeddings.token_type_embeddings.weight": (2, WIDTH),
            "pooler.dense.weight": (WIDTH, WIDTH),
        }
    for layer in range(LAYERS):
        for role, shape in SHAPES.items():
            name = name_of(family, layer, role)
            shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return {
        STARTS[family] + name: torch.randn(shape, generator=draw) * 0.5 + name.endswith("Norm.weight")
        for name, shape in shapes.items()
    }


def config_of(family: str, rows: int) -> dict[str, Any]:
    """config.json."""
    if family == "distilbert":
        sizes = {
            "dim": WIDTH,
            "n_layers": LAYERS,
            "n_heads": HEADS,
            "hidden_dim": INNER,
            "activation": "gelu",
        }
    else:
        sizes = {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS}
        sizes |= {"intermediate_size": INNER, "hidden_act": "gelu", "layer_norm_eps": 1e-5}
    return {
        "model_type": family, "vocab_size": rows, "max_position_embeddings": PLACES,
        "pad_token_id": PADS[family], **sizes,
    }  # fmt: skip


def write_encoder(folder: Path, family: str = "bert", *, more_rows: int = 3) -> Path:
    """A folder of Hugging Face's; its table of embeddings has some rows that the tokenizer does not use."""
    folder.mkdir(parents=True)
    tokenizer = TOKENIZERS[family]()
    rows = tokenizer.get_vocab_size() + more_rows
    tokenizer.save(str(folder / "tokenizer.json"))
    save_file(tensors_of(family, rows), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config_of(family, rows)))
    return folder


def mean_state(family: str, tensors: dict[str, Tensor], ids: list[int]) -> Tensor:
    """The mean over a text's subwords [D] after the last layer, computed head by head."""
    given = {name.removeprefix(STARTS[family]): tensor for name, tensor in tensors.items()}
    epsilon = 1e-12 if family == "distilbert" else 1e-5

    def norm(name: str, x_LD: Tensor) -> Tensor:
        return functional.layer_norm(x_LD, (WIDTH,), given[f"{name}.weight"], given[f"{name}.bias"], epsilon)

    def linear(layer: int, role: str, x_LD: Tensor) -> Tensor:
        name = name_of(family, layer, role)
        return functional.linear(x_LD, given[f"{name}.weight"], given[f"{name}.bias"])

    places = torch.arange(len(ids)) + (PADS[family] + 1 if PADS[family] else 0)
    x_LD = (
        given["embeddings.word_embeddings.weight"][ids]
        + given["embeddings.position_embeddings.weight"][places]
    )
    if "embeddings.token_type_embeddings.weight" in given:
        x_LD = x_LD + given["embeddings.token_type_embeddings.weight"][0]
    x_LD = norm("embeddings.LayerNorm", x_LD)
    for layer in range(LAYERS):
        query, key, value = (linear(layer, role, x_LD).chunk(HEADS, 1) for role in ("query", "key", "value"))
        mixed = [
            ((q @ k.T) / (WIDTH / HEADS) ** 0.5).softmax(1) @ v
            for q, k, v in zip(query, key, value, strict=True)
        ]
        x_LD = norm(name_of(family, layer, "first"), x_LD + linear(layer, "out", torch.cat(mixed, 1)))
        inner_LI = functional.gelu(linear(layer, "inner", x_LD))
        x_LD = norm(name_of(family, layer, "second"), x_LD + linear(layer, "outer", inner_LI))
    return x_LD.mean(0)
