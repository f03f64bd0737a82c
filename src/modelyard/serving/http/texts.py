"""`POST /predict` for texts: one as the body or as a file of a form, or a JSON list of them."""

from __future__ import annotations

import time
from codecs import BOM_UTF8
from collections.abc import Iterable
from functools import partial
from http import HTTPStatus
from typing import cast

from modelyard.errors import RequestError, quoted
from modelyard.inference.doubts import doubts
from modelyard.samples.text import UnreadableText, clean_text
from modelyard.serving.http.exchange import Request, Response, json_response, parse_json
from modelyard.serving.http.forms import sent_file
from modelyard.serving.http.limits import Turns
from modelyard.serving.http.predictions import by_whom, predictions
from modelyard.serving.models.served import Served
from modelyard.serving.protocol.inputs import Rows
from modelyard.serving.protocol.inputs.varying import Varying

EXAMPLE = "curl -F file=@review.txt URL/predict"
JSON, FORM = b"application/json", b"application/x-www-form-urlencoded"
"""The second is what curl calls whatever it is given with -d: a list in JSON is told by itself there."""


class Texts:
    """Brings texts to the form that training texts have: Unicode form C, cut."""

    def __init__(self) -> None:
        self._turns = Turns()

    async def predict(self, served: Served, request: Request) -> Response:
        """Label and probabilities of a text, or of each in a list, and warnings. Raises: RequestError (400,
        413, 415, 503).
        """
        started = time.perf_counter()
        texts = await self._turns.read(request.body, partial(_sent, served, request))
        request.body = b""
        served.limits.check_rows(len(texts) if isinstance(texts, list) else 1)
        rows = [texts] if isinstance(texts, str) else texts
        outputs = await served.submit(_rows(served, rows), len(rows))
        found = predictions(served, outputs, [doubts(row, served.manifest) for row in rows])
        answer = found[0] if isinstance(texts, str) else {"predictions": found}
        return json_response(answer | by_whom(served, started))

    async def rows(self, served: Served, files: Iterable[Request]) -> Rows:
        """Texts that came as files. Raises: RequestError (400, 413)."""
        spec = _input(served)
        return _rows(served, [spec.decoded(_unmarked(file.body), at) for at, file in enumerate(files)])


def _sent(served: Served, request: Request) -> str | list[str]:
    """One text, or a list in JSON. Raises: RequestError."""
    content_type = request.headers.get(b"content-type", b"").lower()
    mime_type, _, parameters = content_type.partition(b";")
    mime_type, (_, _, charset) = mime_type.strip(), parameters.partition(b"charset=")
    if charset.strip(b' "') not in {b"", b"utf-8", b"utf8"}:
        told = f"expected UTF-8, received charset {quoted(charset.strip())}; convert the text"
        raise RequestError(told, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    if mime_type == JSON:
        served.limits.check_json(request.body)
        return _listed(parse_json(request.body))
    if mime_type in {b"", FORM} and request.body.lstrip().startswith(b"["):
        served.limits.check_json(request.body)
        try:
            return _listed(parse_json(request.body))
        except RequestError:  # a text that begins like one
            pass
    return _input(served).decoded(_unmarked(sent_file(request, EXAMPLE)), 0)


def _listed(value: object) -> str | list[str]:
    if isinstance(value, str) or (
        isinstance(value, list) and value and all(isinstance(row, str) for row in value)
    ):
        return value
    raise RequestError(f'expected a text, or a list of texts as ["one", "two"], received {quoted(value)}')


def _rows(served: Served, texts: list[str]) -> Rows:
    """What the graph's input keeps of them. Raises: RequestError (400, 413) that names the row, counted from
    0.
    """
    clean, spec = list[str](), _input(served)
    for at, row in enumerate(texts):
        spec.check_string(row, at)
        try:
            clean.append(clean_text(row, served.manifest.form.longest))
        except UnreadableText as error:
            raise RequestError(f"row {at}: {error}") from None
    return spec.of_strings(clean)


def _unmarked(content: bytes) -> bytes:
    """Without the byte order mark that some editors write."""
    return content.removeprefix(BOM_UTF8)


def _input(served: Served) -> Varying:
    return cast(Varying, served.engine.input)
