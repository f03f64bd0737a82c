"""Bearer tokens: who may call, from a file that may change while the server runs."""

from __future__ import annotations

import hashlib
import hmac
from http import HTTPStatus
from pathlib import Path

from modelyard.errors import ConfigError, RequestError
from modelyard.serving.http.exchange import Request
from modelyard.serving.processes.events import log_event

OPEN_PATHS = frozenset(
    {"/", "/openapi.json", "/ping", "/health", "/v2/health/live", "/v2/health/ready", "/favicon.ico"}
)


class Tokens:
    """The tokens of a file: one a line, `#` begins a comment; a token followed by `load` may load and unload
    models.

    Only their digests stay in memory.
    """

    def __init__(self, path: Path) -> None:
        """Raises: ConfigError when the file is unreadable or empty."""
        self._path = path
        self._stamp = (0, 0)
        self._digests: list[tuple[bytes, bool]] = []
        """The digest of each token, and whether it may load."""
        self._complaint = ""
        try:
            self._read()
        except (OSError, ValueError) as error:
            raise ConfigError(f"--token-file {path}: {error}; write one token a line") from error

    def _read(self) -> None:
        stat = self._path.stat()
        stamp = (stat.st_ino, stat.st_mtime_ns)
        if stamp == self._stamp:
            return
        lines = [line.split() for line in self._path.read_text().splitlines()]
        rows = [words for words in lines if words and not words[0].startswith("#")]
        if any(rights not in ([], ["load"]) for _, *rights in rows):
            raise ValueError("expected TOKEN or TOKEN load in each line")
        if not rows:
            raise ValueError("it has no token")
        self._digests = [(hashlib.sha256(token.encode()).digest(), bool(rights)) for token, *rights in rows]
        self._stamp = stamp
        if stat.st_mode & 0o077:
            log_event(
                "token file is open to others", {"path": self._path, "remedy": f"chmod 600 {self._path}"}
            )

    def refresh(self) -> None:
        """Read the file again if it changed; while it cannot be read the last tokens stay valid."""
        try:
            self._read()
            self._complaint = ""
        except (OSError, ValueError) as error:
            if str(error) != self._complaint:  # once, not at each look
                log_event("token file ignored", {"path": self._path, "reason": str(error)})
            self._complaint = str(error)

    def allow(self, authorization: bytes | None, *, to_load: bool = False) -> bool:
        """Whether an Authorization header carries one of the tokens (with a right to load, where that is
        asked), compared in constant time.
        """
        scheme, _, token = (authorization or b"").partition(b" ")
        digest = hashlib.sha256(token.strip()).digest()
        matches = [
            hmac.compare_digest(digest, known) and may_load >= to_load for known, may_load in self._digests
        ]
        return any(matches) and scheme.lower() == b"bearer"


class Callers:
    """What callers may do."""

    def __init__(self, tokens: Tokens | None, *, allow_load: bool) -> None:
        self._tokens = tokens
        self._allow_load = allow_load

    def check(self, request: Request) -> None:
        """Raises: RequestError (401)."""
        if self._tokens is None or request.path in OPEN_PATHS or request.path.startswith("/assets/"):
            return
        if not self._tokens.allow(request.headers.get(b"authorization")):
            raise RequestError("expected the header Authorization: Bearer <token>", HTTPStatus.UNAUTHORIZED)

    def check_may_load(self, request: Request) -> None:
        """Raises: RequestError (403)."""
        authorization = request.headers.get(b"authorization")
        if not self._allow_load and not (self._tokens and self._tokens.allow(authorization, to_load=True)):
            told = (
                "load and unload are off; start the server with --allow-load, or mark a token with "
                "`load` in the token file"
            )
            raise RequestError(told, HTTPStatus.FORBIDDEN, "load")
