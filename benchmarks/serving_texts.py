"""What a request of a text costs the server beside one of an image, and beside onnxruntime: CPU microseconds.

    python -m benchmarks.serving_texts [--release FOLDER | --slow 4] [--rounds 12] [--requests 1500]

One server with one worker on core 0 serves both; a client on core 1 asks over one kept connection, for each
route by turns. FOLDER is a release of a model of strings; without it a hand-made one counts letters. That of
images is hand-made, of 28 x 28 pixels; --slow gives both so many multiplications of 512 x 512 more, so that
they take the same time. What onnxruntime takes, as the server itself counts it (by the clock: on an idle
machine), is taken off: the rest is what a route costs. onnxruntime in a loop of its own would be too quick,
since all that it needs stays in the cache.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import struct
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import urlopen

from benchmarks.serving_cost import CLIENT_CORE, HERE, SHAPE, Measured, serving
from modelyard.bundle import open_bundle
from tests.serving.bundles import Linear, images, point, release, slow
from tests.serving.text_bundles import Counts, release_texts

TEXT = "what is the capital of the state of new york , usa"
"""50 bytes."""
Routes = dict[str, tuple[str, bytes]]
"""Name -> the model's, and a request."""


def routes(letters: str) -> Routes:
    """The same two formats for both kinds; `letters` is the name of the model of strings."""
    pixels, element = images(1, shape=SHAPE), struct.pack("<I", len(TEXT)) + TEXT.encode()
    image = {"name": "images", "datatype": "UINT8", "shape": [1, *SHAPE]}
    string = {"name": "texts", "datatype": "BYTES", "shape": [1, 1]}
    return {
        "image, JSON": ("fruit", _json("fruit", image | {"data": pixels.reshape(-1).tolist()})),
        "string, JSON": (letters, _json(letters, string | {"data": [TEXT]})),
        "image, binary": ("fruit", _binary("fruit", image, pixels.tobytes())),
        "string, binary": (letters, _binary(letters, string, element)),
    }


def _json(model: str, tensor: dict[str, Any]) -> bytes:
    return _request(model, json.dumps({"inputs": [tensor]}).encode())


def _binary(model: str, tensor: dict[str, Any], content: bytes) -> bytes:
    size = {"parameters": {"binary_data_size": len(content)}}
    head = json.dumps({"inputs": [tensor | size]}).encode()
    return _request(model, head + content, b"Inference-Header-Content-Length: %d\r\n" % len(head))


def _request(model: str, body: bytes, header: bytes = b"") -> bytes:
    start = b"POST /v2/models/%b/infer HTTP/1.1\r\nHost: 127.0.0.1\r\n" % model.encode()
    return start + header + b"Content-Length: %d\r\n\r\n" % len(body) + body


def infer_us(server: Measured, model: str) -> tuple[float, int]:
    """Microseconds in onnxruntime, and requests, so far."""
    port = server.client.getpeername()[1]
    with urlopen(f"http://127.0.0.1:{port}/v2/models/{model}/stats") as answer:
        told = json.load(answer)["model_stats"][0]["inference_stats"]["compute_infer"]
    return told["ns"] / 1e3, told["count"]


def measure(releases: Path, name: str, rounds: int, requests: int) -> None:
    """A line for each route: medians, and the least of all rounds."""
    models: dict[str, list[float]] = {}
    with ExitStack() as stack:
        server = stack.enter_context(serving(HERE, releases))
        os.sched_setaffinity(0, {CLIENT_CORE})
        for turn in range(rounds + 1):  # the first is to get warm
            for route, (model, request) in routes(name).items():
                before = infer_us(server, model) if turn else (0.0, 0)
                server.ask(route, request, requests)
                spent_us, count = infer_us(server, model)
                models.setdefault(route, []).append((spent_us - before[0]) / (count - before[1]))
    for route, found in server.cpu_us.items():
        rest = [whole - infer for whole, infer in zip(found[1:], models[route][1:], strict=True)]
        print(
            f"{route:>14}: {statistics.median(found[1:]):6.1f} us ({min(found[1:]):.1f} at least), "
            f"onnxruntime {statistics.median(models[route][1:]):.1f}, the route "
            f"{statistics.median(rest):.1f} ({min(rest):.1f})",
            flush=True,
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--release", type=Path, help="of a model of strings")
    parser.add_argument("--slow", type=int, default=0, help="multiplications that both models also do")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--requests", type=int, default=1500)
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        releases = Path(folder) / "releases"
        linear, counts = Linear.seeded(1, SHAPE), Counts()
        nodes = slow(given.slow) if given.slow else None
        release(releases, 1, linear, "champion", graph=linear.graph(nodes))
        name = "letters"
        if given.release:
            name = open_bundle(given.release).model_name
            shutil.copytree(given.release, releases / name / given.release.name)
            point(releases, name, "champion", int(given.release.name))
        else:
            release_texts(releases, 1, counts, "champion", model=name, graph=counts.graph(nodes))
        measure(releases, name, given.rounds, given.requests)


if __name__ == "__main__":
    main()
