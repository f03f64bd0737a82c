"""Optional bearer tokens, from a file that may change while the server runs."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

from modelyard.errors import ConfigError
from modelyard.serving.events import log_event


class Tokens:
    """The tokens of a file: one a line, `#` begins a comment. Only their digests stay in memory."""

    def __init__(self, path: Path) -> None:
        """Raises: ConfigError when the file is unreadable or empty."""
        self._path = path
        self._stamp = (0, 0)
        self._digests: list[bytes] = []
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
        lines = [line.strip() for line in self._path.read_text().splitlines()]
        digests = [hashlib.sha256(line.encode()).digest() for line in lines if line and not line.startswith("#")]
        if not digests:
            raise ValueError("it has no token")
        self._digests, self._stamp = digests, stamp

    def refresh(self) -> None:
        """Follow the file; while it cannot be read the last tokens hold."""
        try:
            self._read()
            self._complaint = ""
        except (OSError, ValueError) as error:
            if str(error) != self._complaint:  # once, not at each look
                log_event("token file ignored", {"path": self._path, "reason": str(error)})
            self._complaint = str(error)

    def allow(self, authorization: bytes | None) -> bool:
        """Whether an Authorization header carries one of the tokens, in constant time."""
        scheme, _, token = (authorization or b"").partition(b" ")
        digest = hashlib.sha256(token.strip()).digest()
        matches = [hmac.compare_digest(digest, known) for known in self._digests]
        return any(matches) and scheme.lower() == b"bearer"
