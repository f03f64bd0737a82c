"""A model of subwords, asked by strings, which its tokenizer reads, or by ids as other servers take them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from open_inference.grpc import protocol

from modelyard.bundle import read_bundle
from modelyard.errors import BundleError
from modelyard.samples.subwords import TOKENIZER_FILE, Subwords
from modelyard.samples.text_encodings import ids
from tests.serving.conftest import Server
from tests.serving.test_grpc import connected
from tests.serving.test_texts import in_binary, in_json, probabilities
from tests.serving.text_bundles import TEXTS, Counts, tokenizer, write_text_bundle

COUNTS = Counts()
INFER, INVOKE = "/v2/models/letters-bert/infer", "/invocations?model=letters-bert"
ROWS = [[1, 2, 2, 1], [4, 4, 0, 0], [6, 0, 0, 0]]
SPELT = ["abba", "dd", "?"]


def of_ids(rows: Any, shape: list[int] | None = None) -> dict[str, Any]:
    shape = [len(rows), len(rows[0])] if shape is None else shape
    return {"inputs": [{"name": "ids", "datatype": "INT64", "shape": shape, "data": rows}]}


def numbers(texts: list[str]) -> np.ndarray[Any, Any]:
    known = Subwords.of(tokenizer(COUNTS.longest))
    return ids([known.numbers(text) for text in texts])


def test_strings_and_ids_have_one_answer(asked: httpx.Client) -> None:
    expected_BK = COUNTS.probabilities(TEXTS)
    rows_BL = numbers([*TEXTS])
    for body in (
        in_json([*TEXTS]),
        of_ids(rows_BL.tolist()),
        of_ids(rows_BL.ravel().tolist(), [*rows_BL.shape]),
    ):
        for _ in range(2):  # the second time its head is known
            np.testing.assert_allclose(probabilities(asked.post(INFER, json=body)), expected_BK, atol=1e-5)
    content, headers = in_binary([text.encode() for text in TEXTS])
    found = probabilities(asked.post(INFER, content=content, headers=headers))
    np.testing.assert_allclose(found, expected_BK, atol=1e-5)


def test_the_metadata_name_strings(asked: httpx.Client) -> None:
    """What every client can send."""
    told = asked.get("/v2/models/letters-bert").json()["inputs"]
    assert told == [{"name": "texts", "datatype": "BYTES", "shape": [-1, 1]}]


def test_tritons_client_sends_either(texts: Server) -> None:
    client, rows_BL = triton.InferenceServerClient(texts.address), numbers([*TEXTS])
    strings = triton.InferInput("texts", [len(TEXTS)], "BYTES")
    strings.set_data_from_numpy(np.array(TEXTS, object))
    subwords = triton.InferInput("ids", [*rows_BL.shape], "INT64")
    subwords.set_data_from_numpy(rows_BL)
    for given in (strings, subwords):
        found = client.infer("letters-bert", [given]).as_numpy("probabilities")
        np.testing.assert_allclose(found, COUNTS.probabilities(TEXTS), atol=1e-5)


def test_grpc_sends_either(texts: Server) -> None:
    (ready,) = texts.events("ready")
    with connected(ready["grpc"].rpartition("/")[2]) as stub:
        for name, datatype, contents, shape in (
            ("ids", "INT64", {"int64_contents": [number for row in ROWS for number in row]}, [3, 4]),
            ("texts", "BYTES", {"bytes_contents": [text.encode() for text in SPELT]}, [3, 1]),
        ):
            request = protocol.ModelInferRequest(model_name="letters-bert")
            entry = request.inputs.add(name=name, datatype=datatype, shape=shape)
            for field, values in contents.items():
                getattr(entry.contents, field).extend(values)
            answer = stub.ModelInfer(request)
            found = np.array(answer.outputs[1].contents.fp32_contents).reshape(3, 4)
            np.testing.assert_allclose(found, COUNTS.probabilities(SPELT), atol=1e-5)


FORMS: dict[str, Any] = {
    "strings": {"inputs": SPELT},
    "named strings": {"inputs": {"texts": SPELT}},
    "a column of strings": {"dataframe_split": {"columns": ["texts"], "data": [[text] for text in SPELT]}},
    "named ids": {"inputs": {"ids": ROWS}},
    "records of ids": {"dataframe_records": [{"ids": row} for row in ROWS]},
    "ids of any length": {"instances": [{"ids": [1, 2, 2, 1]}, {"ids": [4, 4]}, {"ids": [6]}]},
}


@pytest.mark.parametrize("body", FORMS.values(), ids=FORMS)
def test_mlflows_forms_take_either(asked: httpx.Client, body: Any) -> None:
    answer = asked.post(INVOKE, json=body)
    assert answer.status_code == 200, answer.text
    found = answer.json()["predictions"]["probabilities"]
    np.testing.assert_allclose(found, COUNTS.probabilities(SPELT), atol=1e-5)


def _entry(**other: str) -> dict[str, Any]:
    return {"inputs": [{"name": "ids", "datatype": "INT64", "shape": [1, 1], "data": [1]} | other]}


WRONG: dict[str, tuple[Any, str]] = {
    "an id that there is not": (of_ids([[1, 7]]), "expected integers 1 to 6 in row 0"),
    "a negative one": (of_ids([[1, 2], [1, -1]]), "in row 1, and zeros only behind them, received -1 to 1"),
    "padding within": (of_ids([[1, 0, 2]]), "and zeros only behind them, received 0 to 2"),
    "strings as ids": (of_ids(["a", "b"], [2, 1]), "ids: expected integers"),
    "ids as strings": (in_json([1, 2]), "texts: expected a string in row 0"),
    "another datatype": (_entry(datatype="INT32"), "expected datatype INT64"),
    "another name": (_entry(name="x"), "has 'texts' or 'ids'"),
    "no shape": (of_ids([1, 2], [2]), "expected shape [-1, -1]"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "told"), WRONG.values(), ids=WRONG)
def test_what_is_neither_is_refused_in_a_line(asked: httpx.Client, body: Any, told: str) -> None:
    answer = asked.post(INFER, json=body)
    assert answer.status_code == 400 and told in answer.json()["error"], answer.text


def test_a_bundle_is_not_whole_without_its_tokenizer(tmp_path: Path) -> None:
    folder = write_text_bundle(tmp_path / "b", COUNTS, encoding="ids")
    assert read_bundle(folder).manifest.files.keys() >= {TOKENIZER_FILE}
    content = (folder / TOKENIZER_FILE).read_text()
    (folder / TOKENIZER_FILE).write_text(content.replace("BPE", "BPe"))
    with pytest.raises(BundleError, match=r"tokenizer\.json does not match the manifest"):
        read_bundle(folder)
    (folder / TOKENIZER_FILE).unlink()
    with pytest.raises(BundleError, match="is not a whole bundle"):
        read_bundle(folder)


def test_a_sealed_tokenizer_that_is_none_is_refused(tmp_path: Path) -> None:
    made = read_bundle(write_text_bundle(tmp_path / "b", COUNTS, encoding="ids"))
    told = json.loads(made.others[TOKENIZER_FILE])
    for content in (b"{}", json.dumps(told | {"padding": {"pad_id": 3}}).encode(), b"\xff"):
        made.others[TOKENIZER_FILE] = content
        with pytest.raises(BundleError) as caught:
            made.samples()
        assert "\n" not in str(caught.value)
