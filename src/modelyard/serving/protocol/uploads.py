"""Who reads what people send to `/predict`, and files in `/invocations`: `UPLOADS` is the list to extend."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from modelyard.serving.http.exchange import Request, Response
from modelyard.serving.models.served import Served
from modelyard.serving.protocol.inputs import Rows


class Upload(Protocol):
    """For the models of one kind."""

    async def predict(self, served: Served, request: Request) -> Response:
        """The answer of `/predict`. Raises: RequestError."""

    async def rows(self, served: Served, files: Iterable[Request]) -> Rows:
        """Rows of a model, each the body of a request. Raises: RequestError."""


def _pictures() -> Upload:
    from modelyard.serving.http.upload import Pictures  # only who is asked for them pays

    return Pictures()


def _texts() -> Upload:
    from modelyard.serving.http.texts import Texts

    return Texts()


UPLOADS: Mapping[str, Callable[[], Upload]] = {"image": _pictures, "text": _texts}
"""By the kind of a model's samples."""


class Uploads(dict[str, Upload]):
    """One of each kind that was asked for."""

    def __missing__(self, kind: str) -> Upload:
        made = self[kind] = UPLOADS[kind]()
        return made
