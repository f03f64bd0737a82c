"""Kinds of hostile requests: framing, doors, paths, bodies, connections. Each knows which answers
are right.
"""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from benchmarks.hostility.bodies import (
    INFER,
    MODELS,
    PIXELS,
    SHAPE,
    as_json,
    countless,
    damaged_picture,
    echo,
    form,
    gzip_bomb,
    infer,
    ordinary,
    other_format,
    photo,
    picture,
    png,
    request,
    rows,
    structure,
    value_bomb,
)


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to be hostile."""

    name: str
    make: Callable[[random.Random], bytes]
    right: frozenset[int]
    """Statuses that handle it; 0: the connection is closed without an answer."""
    weight: float = 100
    """How often it is sent, beside the others: no kind has more of the bandwidth than an ordinary request (3
    KB) at 100.
    """
    abort: bool = False
    """Whether the client is gone before an answer."""


BAD = frozenset({400})
CLOSED = frozenset({0, 400, 408})
REFUSED = frozenset({400, 403, 404, 411, 413, 414, 415, 417, 421, 431, 501, 503})
"""For kinds that several rules meet at once."""
ANSWERED = REFUSED | {200}

FRAMES: dict[str, bytes] = {
    "no Host": b"GET /v2 HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET /v2 HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: 127.0.0.1\r\n\r\n",
    "Host with a path": b"GET /v2 HTTP/1.1\r\nHost: a b/../\r\n\r\n",
    "length and chunks": b"POST /v2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: "
    b"chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST /v2 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nContent-Length: "
    b"6\r\n\r\nhello",
    "negative length": b"POST /v2 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
    "overflowing length": b"POST /v2 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: "
    b"99999999999999999999999\r\n\r\n",
    "huge length": b"POST /v2 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9999999999\r\n\r\n",
    "folded header": b"GET /v2 HTTP/1.1\r\nHost: 127.0.0.1\r\nX: a\r\n b\r\n\r\n",
    "space before colon": b"GET /v2 HTTP/1.1\r\nHost : 127.0.0.1\r\n\r\n",
    "bad chunk size": b"POST /v2 HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "packed transfer": b"POST /v2 HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: gzip, "
    b"chunked\r\n\r\n0\r\n\r\n",
    "NUL in a header": b"GET /v2 HTTP/1.1\r\nHost: 127.0.0.1\r\nX: \0\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 40,
    "CONNECT": b"CONNECT a:1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "unknown expectation": b"POST /v2 HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: "
    b"200-ok\r\nContent-Length: 0\r\n\r\n",
}
TARGETS = (
    "/../../etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/assets/../../x",
    "/assets/" + "a" * 300,
    "/assets/%00",
    "//etc/passwd",
    "/v2/models/" + "x" * 3000,
    "/v2/models/%ff%fe",
    "/v2/models/..%2f..%2fetc",
    "/v2/models/digits/versions/" + "1" * 5000,
    "/v2/models/digits/versions/١",
    "/%",
    "/v2/models//infer",
)
VALUES: tuple[object, ...] = (
    "x" * 900, None, True, {}, [[]], -1, 256, 2**63, 2**64, 1e308, 0.5, "1", [["1"] * 3] * 9, "\ud83d\ude00",
)  # fmt: skip


def constant(content: bytes, _: random.Random) -> bytes:
    return content


KINDS: tuple[Kind, ...] = (
    *(
        Kind(f"frame: {name}", partial(constant, frame), REFUSED | {0, 405, 505})
        for name, frame in FRAMES.items()
    ),
    Kind(
        "rebinding",
        lambda c: request("/models", host=b"Host: evil.example:%d\r\n" % c.randrange(9999), method="GET"),
        frozenset({403, 421}),
        600,
    ),
    Kind(
        "rebinding, known Origin",
        lambda _: request(
            f"{MODELS}/digits/unload", b"", b"Origin: http://evil.example", host=b"Host: evil.example\r\n"
        ),
        frozenset({403, 421}),
        300,
    ),
    Kind(
        "foreign page",
        lambda _: request(f"{MODELS}/digits/unload", b"", b"Origin: http://evil.example"),
        frozenset({403}),
        300,
    ),
    Kind("unload by anybody", lambda _: request(f"{MODELS}/digits/unload"), frozenset({403}), 300),
    Kind(
        "names of load",
        lambda c: request(
            f"{MODELS}/" + c.choice(("%01" * 9000, "a" * 20_000, "%7f" * 9000, "..%2fx", "%00")) + "/load"
        ),
        REFUSED,
        11,
    ),
    Kind(
        "paths", lambda c: request(c.choice(TARGETS), method=c.choice(("GET", "POST"))), REFUSED | {405}, 1500
    ),
    Kind(
        "long address",
        lambda c: request("/" + "a" * c.choice((33_000, 60_000)), method="GET"),
        frozenset({414, 431}),
        7,
    ),
    Kind(
        "many headers",
        lambda c: request("/v2", b"", *[b"X-%d: %s" % (n, b"y" * 300) for n in range(150)]),
        frozenset({431}),
        7,
    ),
    Kind(
        "header length",
        lambda c: request(INFER, b"{}", b"Inference-Header-Content-Length: " + c.choice((b"1", b"0")) * 5000),
        BAD | {431},
        300,
    ),
    Kind("values", lambda c: infer([c.choice(VALUES)] + [0] * (PIXELS - 1)), BAD, 1500),
    Kind(
        "shapes",
        lambda c: infer(
            [0] * PIXELS,
            c.choice(([-1, *SHAPE], [10**9, *SHAPE], [1.5, *SHAPE], [1], [], "x", [True, *SHAPE])),
        ),
        BAD,
        1000,
    ),
    Kind("rows", lambda _: rows(), BAD | {413}, 0.2),
    Kind("strings that multiply", value_bomb, BAD | {413}, 3),
    Kind("structure", structure, BAD | {413}, 1.5),
    Kind("echoes", echo, BAD, 1.5),
    Kind("gzip bomb", lambda _: request(INFER, gzip_bomb(), b"Content-Encoding: gzip"), BAD | {413}, 6),
    Kind(
        "broken gzip",
        lambda c: request(INFER, gzip.compress(b"x" * 500)[: c.randrange(25)], b"Content-Encoding: gzip"),
        BAD,
        400,
    ),
    Kind(
        "nested",
        lambda c: as_json(
            c.choice((INFER, "/v2/repository/index", "/invocations")),
            b'{"ready":' + b"[" * 1000 + b"]" * 1000 + b"}",
        ),
        BAD | {403},
        200,
    ),
    Kind("pictures", picture, frozenset({200, 400, 413, 503}), 22),
    Kind(
        "large pictures",
        lambda c: request("/predict", png(c.choice(("RGBA", "I;16", "LA")), 4000, 2900)),
        frozenset({200, 400, 413, 503}),
        0.5,
    ),
    Kind("damaged pictures of other formats", damaged_picture, frozenset({200, 400, 503}), 60),
    Kind("countless parts", countless, BAD | {503}, 3),
    Kind(
        "large pictures of other formats",
        lambda c: request("/predict", other_format(c.choice(("WEBP", "TIFF", "AVIF", "GIF")), 2400)),
        frozenset({200, 400, 413, 503}),
        0.2,
    ),
    Kind("photos", lambda _: request("/predict", photo(3_600_000)), frozenset({200, 503}), 0.1),
    Kind("forms", lambda c: form(c.choice((1, 2000, 100_000))), BAD | {413}, 1),
    Kind(
        "aborted uploads",
        lambda _: request("/predict", bytes(31_000_000))[:-1_000_000],
        frozenset({0, *ANSWERED}),
        0.1,
        abort=True,
    ),
    Kind(
        "aborted requests",
        lambda c: ordinary(c)[: c.randrange(10, 900)],
        frozenset({0, *ANSWERED}),
        1500,
        abort=True,
    ),
    Kind("noise", lambda c: c.randbytes(c.randrange(1, 400)), CLOSED | {404, 405, 505}, 600),
    Kind("silence", lambda _: b"", CLOSED, 100, abort=True),
)
