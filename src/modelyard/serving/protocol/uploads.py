"""Who reads what people send to `/predict`, and files in `/invocations`: `UPLOADS` is the list to extend."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from modelyard.serving.http.exchange import Request, Response
from modelyard.serving.http.texts import Texts
from modelyard.serving.http.upload import Pictures
from modelyard.serving.models.served import Served
from modelyard.serving.protocol.inputs import Rows


class Upload(Protocol):
    """For the models of one kind."""

    async def predict(self, served: Served, request: Request) -> Response:
        """The answer of `/predict`. Raises: RequestError."""

    async def rows(self, served: Served, files: Iterable[Request]) -> Rows:
        """Rows of a model, each the body of a request. Raises: RequestError."""


UPLOADS: Mapping[str, Callable[[], Upload]] = {"image": Pictures, "text": Texts}
"""By the kind of a model's samples."""
