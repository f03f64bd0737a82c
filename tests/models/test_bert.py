"""Encoders that others trained: read from their folders, they answer as they did there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor

from modelyard.errors import ConfigError
from modelyard.models import BertConfig
from modelyard.models.bert_folder import FAMILIES, renamed, symbols, words
from modelyard.samples import TextForm
from modelyard.samples.symbols import Symbols
from modelyard.samples.text_encodings import ids
from tests.data.encoders import mean_state, write_encoder

TEXTS = ["", "a", "the dog bites the man", "Why? 中文 [SEP] <pad> \N{GRINNING FACE}", "dogs " * 30, "the cat"]


def opened(folder: Path, **options: object) -> tuple[torch.nn.Module, Symbols]:
    """The network with its weights, in evaluation."""
    said = [*words(folder), *(f"model.{name}={value}" for name, value in options.items())]
    model = BertConfig().override([word.removeprefix("model.") for word in said])
    known = symbols(folder, model)
    network = model.build(known.form(TextForm(400)), 7)
    tensors = renamed(load_file(folder / "model.safetensors"), folder, model)
    missing, _ = network.load_state_dict(
        {name: tensor for name, tensor in tensors.items() if name in network.state_dict()}, strict=False
    )
    assert missing == ["head.weight", "head.bias"]
    return network.eval(), known


def given(known: Symbols, texts: list[str], more: int = 0) -> Tensor:
    """int32 [B, L], padded by so many more."""
    rows_BL = ids([known.subwords.numbers(text) for text in texts])
    return torch.nn.functional.pad(torch.from_numpy(rows_BL), (0, more)).int()


@pytest.mark.parametrize("family", FAMILIES)
def test_it_computes_what_its_tensors_say(family: str, tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "e", family)
    network, known = opened(folder)
    theirs = Tokenizer.from_file(str(folder / "tokenizer.json"))
    theirs.no_padding()
    theirs.encode_special_tokens = True
    theirs.enable_truncation(known.subwords.longest)
    tensors = load_file(folder / "model.safetensors")
    for text in TEXTS:
        expected_D = mean_state(family, tensors, theirs.encode(text.replace("<pad>", "")).ids)
        (found_D,) = network.features(given(known, [text.replace("<pad>", "")]))  # type: ignore[operator]
        torch.testing.assert_close(found_D, expected_D, rtol=0, atol=2e-5)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pooling", ["mean", "first", "highest"])
def test_padding_and_batch_mates_change_nothing(family: str, pooling: str, tmp_path: Path) -> None:
    network, known = opened(write_encoder(tmp_path / "e", family), pooling=pooling)
    with torch.no_grad():
        alone_BK = torch.cat([network(given(known, [text])) for text in TEXTS])
        for more in (0, 1, 100):
            torch.testing.assert_close(network(given(known, TEXTS, more)), alone_BK, rtol=0, atol=1e-5)
    assert alone_BK.isfinite().all()


def test_a_longer_text_is_cut_as_it_is_told(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "e")
    assert opened(folder)[1].subwords.longest == 40
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 16}')
    network, known = opened(folder)
    assert given(known, ["dogs " * 30]).shape == (1, 16)
    assert network(given(known, ["dogs " * 30])).shape == (1, 7)
    assert opened(folder, positions=9)[1].subwords.longest == 9


def test_sentence_encoders_say_how_they_are_pooled(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "e")
    assert "model.pooling=mean" in words(folder)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    assert "model.pooling=first" in words(folder)


def _config(**values: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        told = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(told | values))

    return change


def _no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def _half_a_tokenizer(folder: Path) -> None:
    content = (folder / "tokenizer.json").read_bytes()
    (folder / "tokenizer.json").write_bytes(content[: len(content) // 2])


def _other_width(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    name = "bert.embeddings.word_embeddings.weight"
    save_file(tensors | {name: tensors[name][:, :6].contiguous()}, folder / "model.safetensors")


WRONG: dict[str, tuple[Callable[[Path], None], str]] = {
    "no tokenizer": (_no_tokenizer, r"expected the encoder's tokenizer \(No such file"),
    "half a tokenizer": (_half_a_tokenizer, r"no tokenizer\.json of Hugging Face's"),
    "another vocabulary": (_config(vocab_size=9999), "vocabulary of 9999 subwords, received one of 66"),
    "a smaller vocabulary": (_config(vocab_size=60), "vocabulary of 60 subwords, received one of 66"),
    "another activation": (_config(hidden_act="relu"), "hidden_act: expected gelu, received 'relu'"),
    "other places": (_config(position_embedding_type="relative_key"), "expected absolute, received"),
    "no width": (_config(hidden_size="wide"), "hidden_size: expected a number, received 'wide'"),
    "an odd MLP": (_config(intermediate_size=25), "a multiple of 12 wide, received 25"),
    "another width": (_other_width, r"as the weights have, \[69, 6\], received \[69, 12\]"),
    "fewer places": (_config(max_position_embeddings=30), r"have, \[40, 12\], received \[30, 12\]"),
    "padding that is none": (_config(pad_token_id=500), "vocabulary that pads, received '500'"),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "told"), WRONG.values(), ids=WRONG)
def test_a_folder_that_contradicts_itself_is_refused(
    spoil: Callable[[Path], None], told: str, tmp_path: Path
) -> None:
    folder = write_encoder(tmp_path / "e")
    spoil(folder)
    with pytest.raises(ConfigError, match=told) as caught:
        opened(folder)
    assert "\n" not in str(caught.value)
