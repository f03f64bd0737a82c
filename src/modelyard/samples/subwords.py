"""Texts as subwords, by the tokenizer.json that comes with an encoder and Hugging Face's `tokenizers`.

`adapted` brings such a file to one contract: 0 pads, nothing is padded, a text is cut at so many subwords,
and none with a meaning of its own (`[SEP]`) is found in what people write. Anybody may have written the file,
so it is bounded: parts that are known, no expression but a harmless one, nothing that makes much of little.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Set
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.errors import ConfigError, DataError
from modelyard.files import parse_json
from modelyard.terminal.printable import printable

TOKENIZER_FILE, TOKENIZER_BYTES = "tokenizer.json", 64 * 2**20
"""Nothing larger is read."""
MOST_SUBWORDS, MOST_SYMBOLS = 8192, 2**20
"""Of a text, and of a vocabulary."""
MOST_ADDED, MOST_PARTS = 8, 16
"""Subwords that are put around a text, and parts of a kind one after the other."""
LONGEST_WORD, LONGEST_MAPPED = 1000, 64
"""Characters of a word that is looked up, and bytes that a normaliser makes of a character."""
MODELS = frozenset({"WordPiece", "BPE", "Unigram", "WordLevel"})
SECTIONS = "normalizer", "pre_tokenizer", "post_processor"
PARTS = frozenset({
    "BertNormalizer", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Lowercase", "StripAccents", "Strip",
    "Precompiled", "Replace", "Prepend", "BertPreTokenizer", "ByteLevel", "Whitespace", "WhitespaceSplit",
    "Metaspace", "Punctuation", "Digits", "TemplateProcessing", "BertProcessing", "RobertaProcessing",
    "Sequence",
})  # fmt: skip
"""What may stand in them: none takes an expression but `Replace`."""
BLANKS = {"Regex": " {2,}"}
"""The one that may."""


def adapted(content: bytes, padding: int | None, most: int) -> str:
    """The file of a tokenizer whose subword `padding` pads, as ours with at most `most` of a text.

    Raises: ConfigError for what is none, or may not be used.
    """
    told = _read(content)
    model, pads = told["model"], told.get("padding")
    if padding is None:
        padding = pads.get("pad_id") if isinstance(pads, dict) else None
    if type(padding) is not int or padding not in _numbers(model["vocab"]):
        raise ConfigError(f"expected a subword of the vocabulary that pads, received {str(padding)[:60]!r}")
    swap, words = {0: padding, padding: 0}, {*_words(model["vocab"])}
    special = {one["content"] for one in told["added_tokens"] if one.get("special")} & words
    model["vocab"] = _swapped(model["vocab"], swap, special - {model.get("unk_token")})
    if "unk_id" in model:
        model["unk_id"] = swap.get(model["unk_id"], model["unk_id"])
    told["added_tokens"] = [one for one in told["added_tokens"] if one["content"] not in special]
    told["post_processor"] = _exchanged(told.get("post_processor"), swap)
    told["truncation"] = {"max_length": most, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    told["padding"] = None
    made = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    Subwords.of(made)
    return made


def _read(content: bytes) -> dict[str, Any]:
    """Raises: ConfigError."""
    try:
        told = parse_json(content)
        wrong = next(_faults(told), "")
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise ConfigError(f"no {TOKENIZER_FILE} of Hugging Face's ({printable(error)[:100]})") from error
    if wrong:
        raise ConfigError(f"the tokenizer has {printable(wrong)[:200]}, which is not used here")
    return dict(told)


def _faults(told: Any) -> Iterator[str]:
    """What of a file may not be."""
    model = told["model"]
    if model.get("type") not in MODELS:
        yield f"a model {model.get('type')!r}"
    if len(model["vocab"]) > MOST_SYMBOLS:
        yield f"a vocabulary of more than {MOST_SYMBOLS} subwords"
    if {type(word) for word in _words(model["vocab"])} != {str} or {
        type(n) for n in _numbers(model["vocab"])
    } != {int}:
        yield "a vocabulary of other things than subwords and their numbers"
    if model.get("dropout"):
        yield "a random choice"
    if not all(isinstance(one["content"], str) for one in told["added_tokens"]):
        yield "added tokens of an unknown form"
    if model.get("max_input_chars_per_word", 0) > LONGEST_WORD:
        yield f"words of more than {LONGEST_WORD} characters"
    for name in SECTIONS:
        parts = [*_parts(told.get(name))]
        if len(parts) > MOST_PARTS:
            yield f"more than {MOST_PARTS} parts in its {name}"
        for part in parts:
            if part["type"] not in PARTS:
                yield f"a {name} {part['type']!r}"
            yield from _growth(part)


def _growth(part: Mapping[str, Any]) -> Iterator[str]:
    """What of a normaliser could make much of little, or take long."""
    if part["type"] == "Replace":
        pattern, made = part["pattern"], part["content"]
        if pattern != BLANKS and ([*pattern] != ["String"] or len(made) > len(pattern["String"])):
            yield f"a replacement of {pattern!r}"
        if pattern == BLANKS and len(made) > 1:
            yield f"a replacement by {made!r}"
    if part["type"] == "Prepend" and len(part["prepend"]) > 1:
        yield f"a beginning {part['prepend']!r}"
    if part["type"] == "Precompiled":
        table = base64.b64decode(part["precompiled_charsmap"] or "")
        replaced = table[4 + int.from_bytes(table[:4], "little") :].split(b"\0")
        if max(map(len, replaced)) > LONGEST_MAPPED:
            yield f"characters that become more than {LONGEST_MAPPED} bytes"


def _parts(value: Any) -> Iterator[dict[str, Any]]:
    """All that a part is made of."""
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, dict) and isinstance(one.get("type"), str):
            yield one
            for inner in ("normalizers", "pretokenizers", "processors"):
                yield from _parts(one.get(inner))


def _words(vocabulary: Any) -> Iterable[str]:
    """The subwords of a table, or of a list with their scores."""
    return vocabulary if isinstance(vocabulary, dict) else (word for word, _ in vocabulary)


def _numbers(vocabulary: Any) -> set[int]:
    return set(vocabulary.values() if isinstance(vocabulary, dict) else range(len(vocabulary)))


def _swapped(vocabulary: Any, swap: Mapping[int, int], unspelt: Set[str]) -> Any:
    """With two numbers exchanged; those of `unspelt` begin with NUL, so that no text spells them."""
    if isinstance(vocabulary, dict):
        return {
            "\0" * (word in unspelt) + word: swap.get(number, number) for word, number in vocabulary.items()
        }
    pairs = (vocabulary[swap.get(number, number)] for number in range(len(vocabulary)))
    return [["\0" * (word in unspelt) + word, score] for word, score in pairs]


def _exchanged(value: Any, swap: Mapping[int, int]) -> Any:
    """Of what is put around a text."""
    if isinstance(value, list):
        return [_exchanged(one, swap) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        name: [swap.get(one, one) for one in inner]
        if name in {"ids", "sep", "cls"}
        else _exchanged(inner, swap)
        for name, inner in value.items()
    }


class Subwords:
    """A tokenizer by our contract (`adapted`)."""

    def __init__(self, told: str) -> None:
        """Raises: ConfigError for another, or one that fails."""
        content = _read(told.encode())
        cut = content.get("truncation") or {}
        self.longest = cut.get("max_length", 0)
        if content.get("padding") or cut.get("stride") or not MOST_ADDED <= self.longest <= MOST_SUBWORDS:
            raise ConfigError(
                "expected a tokenizer that pads nothing and cuts a text at "
                f"{MOST_ADDED} to {MOST_SUBWORDS} subwords"
            )
        self._tokenizer = _opened(told)
        self.count = 1 + max(self._tokenizer.get_vocab(with_added_tokens=True).values())
        """How many different numbers there are, padding among them."""
        if self.count > MOST_SYMBOLS or len(self.numbers("")) > MOST_ADDED or not len(self.numbers("a")):
            raise ConfigError("expected a tokenizer that makes a few subwords of a letter")

    @staticmethod
    @lru_cache(maxsize=4)
    def of(told: str) -> Subwords:
        """The one of a file that was read before, or a new one."""
        return Subwords(told)

    def numbers(self, text: str) -> list[int]:
        """Its subwords; none is 0. Raises: DataError where the library fails."""
        try:
            numbers: list[int] = self._tokenizer.encode(text).ids
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # what Rust panics with is no Exception
            raise DataError(f"the tokenizer fails ({printable(error)[:100]}) on {text[:40]!r}") from error
        return [number for number in numbers if number] if 0 in numbers else numbers

    def rows(self, texts: Iterable[str]) -> list[NDArray[np.int32]]:
        """The subwords of each."""
        return [np.array(self.numbers(text), np.int32) for text in texts]


def _opened(told: str) -> Any:
    try:
        from tokenizers import Tokenizer  # an extra; and 40 MB that no other model needs
    except ImportError:
        raise ConfigError("this model needs tokenizers; install modelyard[text]") from None
    try:
        tokenizer = Tokenizer.from_str(told)
        tokenizer.encode_special_tokens = True
        tokenizer.encode("a \u4e2d\N{GRINNING FACE}[SEP]</s>")
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        raise ConfigError(f"no {TOKENIZER_FILE} that tokenizers reads ({printable(error)[:100]})") from error
    return tokenizer
