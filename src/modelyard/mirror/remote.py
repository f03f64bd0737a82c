"""The user's MLflow server: where it is, how it is asked, and what its failures mean."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from modelyard.errors import ConfigError, RemoteError, UnreachableError
from modelyard.home import Home
from modelyard.machine.environment import REMOTE_VARIABLE
from modelyard.terminal.printable import is_http, shown_address

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

REQUEST_SECONDS = "10"
STOPPING = {
    HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}  # fmt: skip
"""Answers that the next request would get as well."""
HINTS: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: "; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    HTTPStatus.FORBIDDEN: "; this user may not write to experiment and models there",
}


@dataclass(frozen=True, slots=True)
class Remote:
    """One server that this store is mirrored to."""

    uri: str

    @property
    def name(self) -> str:
        """The address without a password."""
        return shown_address(self.uri)

    def folder(self, home: Home) -> Path:
        """Where this store keeps what it knows to have arrived there."""
        return home.state / "mirror" / hashlib.sha256(self.uri.encode()).hexdigest()[:12]

    def client(self) -> MlflowClient:
        """A client that asks once and waits `REQUEST_SECONDS` for an answer.

        MLflow would repeat any request: a creation whose answer was lost would be done twice. Only who looks
        first repeats.
        """
        from mlflow.tracking import MlflowClient

        os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", REQUEST_SECONDS)
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        return MlflowClient(self.uri, self.uri)

    def is_answering(self, seconds: float = 3.0) -> bool:
        """Whether the server says that it is well."""
        import httpx

        try:
            return httpx.get(f"{self.uri.rstrip('/')}/health", timeout=seconds).status_code == HTTPStatus.OK
        except httpx.HTTPError:
            return False


@dataclass(frozen=True, slots=True)
class Link:
    """Both ends of a mirror: the store's name and client, the server with its client and experiment."""

    store: str
    local: MlflowClient
    remote: Remote
    client: MlflowClient
    experiment: str


def configured_remote() -> Remote | None:
    """The server named by `MODELYARD_REMOTE` (or an http `MLFLOW_TRACKING_URI`). Raises: ConfigError for
    another address.
    """
    uri = os.environ.get(REMOTE_VARIABLE, "").strip()
    if not uri:
        return None
    if not is_http(uri):
        raise ConfigError(
            f"{REMOTE_VARIABLE} is {shown_address(uri)!r};"
            " expected an MLflow server such as http://mlflow.example:5000, or nothing"
        )
    return Remote(uri)


@contextmanager
def asking(remote: Remote) -> Iterator[None]:
    """What MLflow's client and requests raise becomes a `RemoteError` of one line."""
    from mlflow.exceptions import MlflowException
    from requests import RequestException

    try:
        yield
    except (MlflowException, RequestException) as error:
        raise _translated(error, remote) from None  # theirs holds the address with its password


def _translated(error: Exception, remote: Remote) -> RemoteError:
    text, status = str(error), _status(error)
    if status is None:
        return UnreachableError(f"the MLflow server {remote.name} {_how_unreachable(text)}")
    line = next(iter(text.strip().splitlines()), "")
    if asked := re.search(r"API request to \S+?(/api/\S+) failed", line):
        line = asked[1]
    if status in STOPPING:
        return UnreachableError(f"the MLflow server {remote.name} answers {status}{HINTS.get(status, '')}")
    return RemoteError(f"the MLflow server {remote.name} answers {status}: {line[:160]}")


def _status(error: Exception) -> int | None:
    """The HTTP status that the server gave, None where there was no answer."""
    response = getattr(error, "response", None)
    if response is not None:
        return int(response.status_code)
    if found := re.search(r"error code (\d{3})\b|too many (\d{3}) error responses", str(error)):
        return int(found[1] or found[2])
    if "API request to" in str(error) or "failed with exception" in str(error):
        return None
    code = getattr(error, "get_http_status_code", None)
    return int(code()) if code and hasattr(error, "json") else None


def _how_unreachable(text: str) -> str:
    if "timed out" in text or "timeout" in text:
        return f"did not answer within {os.environ.get('MLFLOW_HTTP_REQUEST_TIMEOUT', REQUEST_SECONDS)} s"
    if "refused" in text:
        return "refuses connections"
    if "resolve" in text or "Name or service" in text:
        return "has a name that cannot be resolved"
    return "broke the connection"
