"""Broken requests by the thousand: no crash, no answer without `error`, no growth.

    python -m benchmarks.serving_fuzz --requests 100000

Mutates right requests (headers, JSON, lengths, datatypes, shapes, numbers, nesting, compression, half-closed
and pipelined connections) and checks after each thousand that right ones still get right answers.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import socket
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.serving_soak import memory_mb
from tests.serving.bundles import IMAGE_SHAPE, PIXELS, Linear, images, release
from tests.serving.conftest import Server, running

PATHS = (
    "/v2/models/fruit/infer",
    "/invocations",
    "/predict",
    "/v2/repository/index",
    "/v2/models/fruit",
    "/metrics",
    "/%ff?\xff=%zz",
)
VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1e308,
    10**40,
    "",
    "x" * 3000,
    [],
    {},
    [[]],
    "NaN",
    float("nan"),
    float("inf"),
    "\ud83d\ude00",
    [None] * 30,
)
HEADERS = (
    b"Content-Encoding: gzip",
    b"Content-Encoding: deflate",
    b"Content-Encoding: br",
    b"Inference-Header-Content-Length: 0",
    b"Inference-Header-Content-Length: 80",
    b"Inference-Header-Content-Length: -5",
    b"Content-Type: application/json",
    b"Content-Type: multipart/form-data; boundary=b",
    b"Accept-Encoding: gzip",
    b"Expect: 100-continue",
    b"Authorization: Bearer \xff",
    b"Connection: Upgrade\r\nUpgrade: h2c",
    b"Connection: close",
    b"X-Request-Id: \x01\x02",
    b"Transfer-Encoding: chunked",
    b"Origin: null",
    b"Content-Length: 7",
    b"A" * 500 + b": b",
)


def right_request() -> dict[str, Any]:
    entry = {
        "name": "images",
        "datatype": "UINT8",
        "shape": [1, *IMAGE_SHAPE],
        "data": images(1).reshape(-1).tolist(),
    }
    return {
        "id": "1",
        "inputs": [entry],
        "outputs": [{"name": "probabilities", "parameters": {"classification": 2}}],
    }


def mutate(value: Any, chance: random.Random) -> Any:
    """A copy with some part replaced, removed or doubled."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(list(value))
        changed = dict(value)
        if chance.random() < 0.1:
            del changed[key]
        else:
            changed[key] = mutate(value[key], chance)
        return changed
    if isinstance(value, list) and value and chance.random() < 0.8:
        at = chance.randrange(len(value))
        return [*value[:at], mutate(value[at], chance), *value[at + chance.randrange(2) :]]
    return chance.choice(VALUES)


def body(chance: random.Random) -> bytes:
    """Something like a request's body."""
    kind = chance.random()
    if kind < 0.6:
        text = json.dumps(mutate(right_request(), chance)).encode()
    elif kind < 0.7:
        text = chance.choice((b"[", b'{"a":', b"-", b'"')) * chance.randrange(5000)
    else:
        text = chance.randbytes(chance.choice((0, 1, PIXELS, 2 * PIXELS, 999)))
    if chance.random() < 0.15:
        text = gzip.compress(chance.choice((text, bytes(3_000_000))), 1)[: chance.choice((10, None, None))]
    if chance.random() < 0.1 and text:
        at = chance.randrange(len(text))
        text = text[:at] + chance.randbytes(3) + text[at + 1 :]
    return text


def request(chance: random.Random) -> bytes:
    """The bytes of one request, often broken."""
    content = body(chance)
    lines = [
        f"{chance.choice(('POST', 'POST', 'POST', 'GET', 'BREW'))} {chance.choice(PATHS)} HTTP/1.1".encode(
            "latin-1"
        ),
        b"Host: localhost",
    ]
    lines += chance.sample(HEADERS, chance.choice((0, 1, 1, 2, 3)))
    length = len(content) + chance.choice((0,) * 8 + (-3, 5))
    lines.append(b"Content-Length: %d" % max(0, length))
    whole = b"\r\n".join(lines) + b"\r\n\r\n" + content
    return whole if chance.random() < 0.97 else chance.randbytes(50) + whole


def converse(address: tuple[str, int], content: bytes) -> bytes:
    """Send and half-close; all the server says."""
    received = b""
    with socket.create_connection(address, 10) as connection:
        try:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(65536):
                received += chunk
        except ConnectionResetError:
            pass
    return received


def judge(answered: bytes) -> str:
    """The first answer's status; raises AssertionError for a failure that is not told as `error`."""
    if not answered:
        return "closed"
    head, _, content = answered.partition(b"\r\n\r\n")
    status = head.split()[1].decode()
    if status == "100":
        return judge(content)
    plain = b"content-encoding" not in head and b"text/plain" not in head
    assert status < "400" or not plain or b'"error"' in content, answered[:500]
    assert status != "500", answered[:500]
    return status


def fuzz(server: Server, requests: int, seed: int, linear: Linear) -> None:
    chance, host = random.Random(seed), server.address.split(":")
    address, statuses = (host[0], int(host[1])), Counter[str]()
    expected = linear.probabilities(images(1)).reshape(-1)
    for count in range(1, requests + 1):
        statuses[
            judge(converse(address, b"".join(request(chance) for _ in range(chance.choice((1, 1, 1, 2))))))
        ] += 1
        if count % max(1, requests // 10) == 0:
            answer = server.client.post("/v2/models/fruit/infer", json={"inputs": right_request()["inputs"]})
            assert np.allclose(answer.json()["outputs"][1]["data"], expected, atol=1e-5), answer.text
            print(f"{count} requests, {memory_mb(server):.1f} MB, {dict(statuses.most_common())}", flush=True)
    faults = len(server.events("fault")), len(server.events("worker died"))
    print(f"{requests} requests: {faults[0]} faults, {faults[1]} dead workers")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    linear = Linear.seeded(1)
    with TemporaryDirectory() as folder:
        release(Path(folder) / "releases", 1, linear, "champion")
        options = ("--workers", "1", "--read-timeout-s", "2", "--max-body-bytes", "1000000")
        with running(Path(folder) / "releases", Path(folder) / "log", *options) as server:
            fuzz(server, given.requests, given.seed, linear)


if __name__ == "__main__":
    main()
