"""What stands before a network in a graph makes the symbols that training was given, of every text.

B batch, L length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from modelyard.errors import ParityError
from modelyard.export.fronts import FRONTS
from modelyard.export.fronts.front import SymbolFront
from modelyard.export.fronts.nasty import NASTY
from modelyard.export.fronts.nodes import SYMBOLS, Nodes, put_before
from modelyard.export.fronts.strings import FRONT as STRINGS
from modelyard.export.fronts.utf8 import FRONT as BYTES
from modelyard.inference.session import open_session
from modelyard.models import TextCnnConfig
from modelyard.samples.ragged import Ragged, ragged
from modelyard.samples.symbols import Alphabet, Symbols
from modelyard.samples.text_form import TextForm, padded
from modelyard.samples.words import words_of

LONG = 2**20
PAGES = sorted((Path(__file__).parents[2] / "docs").glob("*.md"))
EVERY = [chr(code) for code in range(1, 0x110000) if not 0xD800 <= code < 0xE000]
"""All characters that a text may hold."""
FEWER = [*EVERY[:0xF800], *EVERY[0xF800::17]]
"""All of the first plane, and some of the others, in whose UTF-8 nothing is new."""
WAYS: list[tuple[SymbolFront, Alphabet]] = [
    (front, alphabet) for front in (STRINGS, BYTES) for alphabet in ("bytes", "chars", "words")
    if alphabet in front.makers
]  # fmt: skip


def _stored(texts: list[str], longest: int = LONG) -> Ragged:
    rows = [np.frombuffer(text.encode(), np.uint8) for text in texts]
    return ragged(rows, TextForm(longest), np.uint8)


def _ran(front: SymbolFront, symbols: Symbols, longest: int) -> Callable[[list[str]], NDArray[np.int32]]:
    """The front by itself in onnxruntime, texts -> [B, L]."""
    form = TextForm(longest)
    session = open_session(front.alone(symbols, form).SerializeToString())
    name = session.get_inputs()[0].name

    def run(texts: list[str]) -> NDArray[np.int32]:
        raw = front.encoding(form).raw(padded([text.encode() for text in texts]))
        found: NDArray[np.int32] = session.run([SYMBOLS], {name: raw})[0]
        return found

    return run


@pytest.mark.parametrize(("front", "alphabet"), WAYS)
@pytest.mark.parametrize("longest", [1, 1024, 2001])
def test_a_front_makes_what_training_was_given(front: SymbolFront, alphabet: Alphabet, longest: int) -> None:
    lines = [line for page in PAGES for line in page.read_text().splitlines()][:300]
    symbols = Symbols.learnt(alphabet, _stored([*lines[::2], *NASTY[:12]]), 500)
    front.agree(symbols, TextForm(longest), [*lines[:10], *NASTY])


def test_strings_become_bytes_whatever_the_characters() -> None:
    run = _ran(STRINGS, Symbols("bytes"), LONG)
    for start in range(0, len(EVERY), 2**16):
        some = "".join(EVERY[start : start + 2**16])
        assert bytes(run([some])[0].astype(np.uint8)) == some.encode()


@pytest.mark.parametrize("front", [STRINGS, BYTES])
def test_each_character_has_its_number_and_all_others_one(front: SymbolFront) -> None:
    symbols = Symbols("chars", tuple(FEWER[::331]))
    expected_L = np.ones(len(FEWER), np.int32)
    expected_L[::331] = np.arange(2, 2 + len(symbols.table))
    found_L = _ran(front, symbols, LONG)(["".join(FEWER)])[0]
    assert np.array_equal(np.trim_zeros(found_L, "b"), expected_L)


def test_words_end_at_the_same_characters() -> None:
    texts = [
        "".join(f"a{each}b" for each in FEWER[start : start + 600]) for start in range(0, len(FEWER), 600)
    ]
    numbers = {"a": 2, "A": 2, "b": 3, "B": 3, "ab": 4, "Ab": 4, "AB": 4, ".": 5}
    found_BL = _ran(STRINGS, Symbols("words", ("a", "b", "ab", ".")), 2000)(texts)
    for text, found_L in zip(texts, found_BL, strict=True):
        assert np.trim_zeros(found_L, "b").tolist() == [numbers.get(word, 1) for word in words_of(text)]


def test_a_text_without_a_symbol_still_has_a_place() -> None:
    for front, alphabet in WAYS:
        for texts in (["", ""], [""]):
            found_BL = _ran(front, Symbols(alphabet), 8)(texts)
            assert found_BL.shape[0] == len(texts)
            assert found_BL.shape[1] >= 1
            assert not found_BL.any()


def test_a_front_stands_before_a_core_and_passes_the_checker() -> None:
    form = TextForm(1024)
    taken = helper.make_tensor_value_info(SYMBOLS, TensorProto.INT32, ["batch", "length"])
    given = helper.make_tensor_value_info("sum", TensorProto.INT32, ["batch", 1])
    sums = helper.make_node("ReduceSum", [SYMBOLS, "axis"], ["sum"])
    axis = helper.make_tensor("axis", TensorProto.INT64, [1], [1])
    core = helper.make_model(
        helper.make_graph([sums], "core", [taken], [given], [axis]),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=10,
    )
    for front, alphabet in WAYS:
        nodes, (spec,) = Nodes(), front.encoding(form).inputs
        made = front.makers[alphabet](nodes, spec.name, Symbols(alphabet, ("中",)), form.longest)
        graph = put_before(core, nodes, made, spec)
        onnx.checker.check_model(graph, full_check=True)
        session = open_session(graph.SerializeToString())
        raw = front.encoding(form).raw(padded(["中".encode(), b""]))
        sum_of = {"bytes": sum("中".encode()), "chars": 2, "words": 2}[alphabet]
        assert session.run(None, {spec.name: raw})[0].tolist() == [[sum_of], [0]]


def test_what_is_no_utf8_has_no_character() -> None:
    form, symbols = TextForm(8), Symbols("chars", ("a",))
    session = open_session(BYTES.alone(symbols, form).SerializeToString())
    wrong_BL = np.array([[0x80, 0xFF, 0x61, 0xC3], [0xF8, 0xBF, 0xF7, 0xFF]], np.uint8)
    assert session.run(None, {"bytes": wrong_BL})[0].tolist() == [[2, 1], [1, 0]]
    assert session.run(None, {"bytes": wrong_BL[:, :0]})[0].tolist() == [[0], [0]]


def test_a_front_that_makes_others_is_refused() -> None:
    wrong = replace(STRINGS, makers={"chars": STRINGS.makers["bytes"]})
    with pytest.raises(ParityError, match=r"other chars of 'a' than training does; nothing was registered"):
        wrong.agree(Symbols("chars", ("a",)), TextForm(8), ["a"])


@pytest.mark.parametrize("alphabet", ["bytes", "chars", "words"])
def test_a_recipe_may_ask_for_the_inputs_that_there_are(alphabet: Alphabet) -> None:
    there = [name for name in TextForm(LONG).encodings if (FRONTS[name], alphabet) in WAYS]
    assert list(TextCnnConfig(alphabet=alphabet).inputs) == there
