"""What a picture may hold, and what it may take of the worker."""

from __future__ import annotations

import asyncio
import base64
import gc
import io
import json
import re
import struct
import threading
import time
import weakref
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from modelyard.bundle import read_bundle
from modelyard.errors import RequestError
from modelyard.inference.doubts.images import OPPOSITE_BORDERS
from modelyard.inference.model import Model
from modelyard.samples import ImageForm
from modelyard.samples.extras import without_extras
from modelyard.samples.image import read_image
from modelyard.samples.reading import AS_EVER, Reading
from modelyard.serving.http import upload
from modelyard.serving.http.exchange import Request
from modelyard.serving.http.limits import Limits, Turns
from modelyard.serving.http.upload import picture_bytes, read_pixels
from modelyard.serving.protocol.inputs import Numbers
from modelyard.serving.protocol.invocations import invoke, read_rows
from tests.data.pictures import FORMATS, painting
from tests.data.pictures import saved as saved_as
from tests.serving.bundles import Linear, release, reseal
from tests.serving.conftest import Server, running

SHAPE = (28, 28, 3)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    width: int, height: int, depth: int = 8, colour: int = 6, *, pixels: bytes = b"", extras: bytes = b""
) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + extras
        + chunk(b"IDAT", zlib.compress(pixels))
        + chunk(b"IEND", b"")
    )


def saved(kind: str, **options: Any) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def pixels_of(picture: bytes, shape: tuple[int, int, int], reading: Reading = AS_EVER) -> bytes:
    return read_pixels(Request("POST", "/predict", b"", {}, picture), ImageForm.from_hwc(shape), reading)


def segment(code: int, data: bytes) -> bytes:
    return b"\xff%c" % code + struct.pack(">H", len(data) + 2) + data


@pytest.mark.parametrize(
    ("width", "height", "depth", "colour"),
    [
        (10_000, 5_000, 8, 6),
        (10_000, 5_000, 16, 6),
        (10_000, 5_000, 16, 0),
        (50_000_000, 1, 8, 4),
        (1, 50_000_000, 8, 2),
        (70_000, 1, 8, 0),
    ],
)
def test_pictures_beyond_a_photo_are_refused_from_their_head(
    width: int, height: int, depth: int, colour: int
) -> None:
    """M2."""
    with pytest.raises(RequestError, match=f"too large: {width} x {height} (= [0-9]+ )?pixels"):
        pixels_of(png(width, height, depth, colour), SHAPE)


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose model sees colours."""
    folder = tmp_path_factory.mktemp("camera")
    release(folder / "releases", 1, Linear.seeded(4, (7, 5, 3)), "champion")
    with running(folder / "releases", folder / "log", "--workers", "1") as server:
        yield server


@pytest.fixture(scope="module")
def padding(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Model]]:
    """A server of a model that was trained on padded deep greys on black, and the same model in
    this process.
    """
    folder = tmp_path_factory.mktemp("padding")
    bundle = release(folder / "releases", 1, Linear.seeded(4, (7, 5, 3)), "champion")
    reseal(bundle, reading=Reading("pad", 4095, (0, 0, 0)), metrics={OPPOSITE_BORDERS: 0.0})
    with running(folder / "releases", folder / "log", "--workers", "1") as server:
        yield server, Model(read_bundle(bundle))


PICTURES = {kind: saved_as(kind) for kind in FORMATS} | {
    "transparent": saved_as("PNG", Image.new("RGBA", (9, 9), (9, 9, 9, 0))),
    "half transparent": saved_as("WEBP", Image.new("RGBA", (30, 9), (200, 9, 9, 90))),
    "deep": saved_as("PNG", Image.fromarray(np.full((9, 30), 4000, np.uint16))),
    "deep TIFF": saved_as("TIFF", Image.fromarray(np.full((9, 30), 4000, np.uint16))),
}


@pytest.mark.parametrize("name", PICTURES)
def test_the_server_reads_what_training_reads_as_it_does(
    name: str, padding: tuple[Server, Model], tmp_path: Path
) -> None:
    server, model = padding
    (tmp_path / "x").write_bytes(PICTURES[name])
    expected = model.predict(tmp_path / "x").probabilities[0]
    answer = server.client.post("/predict", content=PICTURES[name])
    assert answer.status_code == 200, answer.text
    np.testing.assert_allclose(list(answer.json()["probabilities"].values()), expected, atol=1e-5)
    _, pixels_CHW = read_image(tmp_path / "x", ImageForm(3, 7, 5), model.manifest.reading)
    assert (
        pixels_of(PICTURES[name], (7, 5, 3), model.manifest.reading)
        == pixels_CHW.transpose(1, 2, 0).tobytes()
    )
    _, stretched_CHW = read_image(tmp_path / "x", ImageForm(3, 7, 5))
    assert not np.array_equal(pixels_CHW, stretched_CHW)


def test_what_looks_wrong_is_answered_with_a_warning(padding: tuple[Server, Model]) -> None:
    """B10: on the data's black ground; inverting, which leaves the ground as it is, mends it."""
    black, white = (0, 0, 0, 255), (255, 255, 255, 255)

    def answer(
        ground: tuple[int, ...], pen: tuple[int, ...], query: str = ""
    ) -> tuple[dict[str, float], str]:
        picture = Image.new("RGBA", (5, 7), ground)
        picture.paste(pen, (2, 2, 4, 5))
        response = padding[0].client.post(f"/predict{query}", content=saved_as("PNG", picture))
        assert response.status_code == 200, response.text
        assert response.json().get("warnings") != []
        return response.json()["probabilities"], "".join(response.json().get("warnings", []))

    plain, warned = answer(black, white)
    assert warned == "" and answer((0, 0, 0, 0), white) == (plain, "")
    assert "looks inverted" in answer(white, black)[1] and answer(white, black, "?invert=1") == (plain, "")
    assert "is blank: black" in answer((0, 0, 0, 0), black)[1] and answer(
        (0, 0, 0, 0), black, "?invert=1"
    ) == (plain, "")
    assert "looks inverted" in answer(black, white, "?invert=1")[1] and answer(black, white, "?invert=0") == (
        plain,
        "",
    )
    refused = padding[0].client.post("/predict?invert=yes", content=PICTURES["deep"])
    assert (refused.status_code, refused.json()["error"]) == (400, "invert: expected 1 or 0, received 'yes'")


def test_the_card_tells_how_pictures_are_read(padding: tuple[Server, Model]) -> None:
    (card,) = padding[0].client.get("/models").json()
    assert card["reading"] == {"fit": "pad", "white": 4095, "ground": [0, 0, 0]}


@pytest.mark.parametrize(
    ("content", "limit"),
    [
        (b"P3\n2000 600\n255\n", 1_000_000), (b"P5\n2000 600\n100\n", 1_000_000),
        ("WEBP", 6_500_000), ("TIFF", 6_500_000), (b"GIF89a" + struct.pack("<HHBBB", 9, 9, 0, 0, 0)
            + b",\0\0\0\0\xff\xff\xff\xff\0\2\0;", 13_000_000),
    ],
)  # fmt: skip
def test_formats_that_take_more_are_read_up_to_fewer_pixels(content: bytes | str, limit: int) -> None:
    if isinstance(content, str):
        content = saved_as(content, painting(2000, 3600))
    with pytest.raises(RequestError, match=rf"too large: .* at most {limit} are read"):
        pixels_of(content, SHAPE)


@pytest.mark.parametrize(
    "content",
    [
        b"P2" + b"#\n" * 8_000_000,
        b"P5" + b"#\n" * 8_000_000,
        b"P5 #" + b"x" * 16_000_000,
        b"P3 9 9 255 " + b"#\n" * 8_000_000,
        b"GIF89a" + bytes(7) + b"!\xfe\1a\0" * 3_000_000,
        b"GIF89a" + bytes(7) + (b"!\xfe" + b"\1a" * 8_000_000),
        b"II*\0\x08\0\0\0\xff\xff" + b"\0\1\2\0\1\0\0\0aaaa" * 70_000,
        saved_as("WEBP") * 20_000,
        b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0\0\0\x08free" * 2_000_000,
    ],
)
def test_pictures_of_countless_parts_of_any_format_are_over_soon(content: bytes) -> None:
    started = time.perf_counter()
    with suppress(RequestError):
        pixels_of(content, SHAPE)
    assert time.perf_counter() - started < 2


def test_what_is_no_picture_is_400(camera: Server) -> None:
    good = saved("PNG")
    bomb = bytearray(good)
    bomb[16:24] = (50_000).to_bytes(4, "big") * 2  # the size in a PNG's head
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    form = {"content-type": "multipart/form-data; boundary=x"}
    for content, headers, reason in (
        (b"", {}, "unknown format"),
        (b"%!PS-Adobe EPSF", {}, "unknown format"),
        (good[:60], {}, "not readable"),
        (bytes(bomb), {}, "too large|at most 13000000"),
        (good, form, "the form has no file"),
        (good, {"content-type": "multipart/form-data"}, "the form has no file"),
    ):
        answer = camera.client.post("/predict", content=content, headers=headers)
        assert (answer.status_code, set(answer.json())) == (400, {"error"})
        assert re.search(reason, answer.json()["error"])


def in_base64(*files: bytes) -> list[dict[str, str]]:
    return [{"b64": base64.b64encode(file).decode()} for file in files]


TWO = in_base64(saved("PNG"), PICTURES["half transparent"])
FORMS: dict[str, Any] = {
    "instances": {"instances": TWO},
    "named instances": {"instances": [{"images": file} for file in TWO]},
    "inputs": {"inputs": TWO},
    "named inputs": {"inputs": {"images": TWO}},
    "records": {"dataframe_records": [{"images": file} for file in TWO]},
    "split": {"dataframe_split": {"columns": ["images"], "data": [[file] for file in TWO]}},
    "lines": {
        "instances": [{"b64": "\n".join([text[:60], text[60:]])} for text in (file["b64"] for file in TWO)]
    },
    "one": {"inputs": {"images": TWO[0]}},
    "one alone": {"inputs": TWO[0]},
}


@pytest.mark.parametrize("form", FORMS)
def test_files_in_base64_are_answered_as_predict_answers_them(camera: Server, form: str) -> None:
    """28: as TensorFlow Serving takes them."""
    answer = camera.client.post("/invocations", json=FORMS[form])
    assert answer.status_code == 200, answer.text
    predictions = answer.json()["predictions"]["probabilities"]
    assert len(predictions) == (1 if "one" in form else 2)
    for file, found in zip((saved("PNG"), PICTURES["half transparent"]), predictions, strict=False):
        expected = camera.client.post("/predict", content=file).json()["probabilities"]
        np.testing.assert_allclose(found, list(expected.values()), atol=1e-6)


BAD_FILES: dict[str, tuple[Any, str]] = {
    "no picture": (in_base64(b"%!PS-Adobe EPSF"), "unknown format"),
    "cut": (in_base64(saved("PNG")[:60]), "not readable"),
    "too large": (in_base64(png(10_000, 5_000)), "too large"),
    "no text": ([{"b64": 5}], "received 5"),
    "no base64": ([{"b64": "%" * 5000}], "in base64"),
    "a data URL": ([{"b64": "data:image/png;base64,iVBO"}], "alone, received 'data:"),
    "beside numbers": ([*TWO, [[[0] * 3] * 5] * 7], "each row as"),
    "too many": (in_base64(b"") * 1025, "expected 1 to 1024 rows"),
    "bare": (TWO[0]["b64"], 'as {"b64": ...}'),
    "bare rows": ([TWO[0]["b64"]], 'as {"b64": ...}'),
}


@pytest.mark.parametrize(("instances", "told"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_what_is_no_file_in_base64_is_refused_in_a_line(camera: Server, instances: Any, told: str) -> None:
    answer = camera.client.post("/invocations", json={"instances": instances})
    assert (answer.status_code, answer.json()["error_code"]) == (400, "BAD_REQUEST")
    assert told in answer.json()["error"] and len(answer.text) < 700


def test_a_photo_may_be_larger_than_the_rows_of_a_small_model(camera: Server) -> None:
    photo = saved_as("BMP", Image.new("RGB", (1200, 800)))
    assert camera.client.post("/invocations", json={"instances": in_base64(photo)}).status_code == 200
    limits = Limits.of(Numbers("images", "UINT8", np.dtype(np.uint8), (600, 500, 3)), 1024, 8_000_000)
    body = json.dumps({"instances": in_base64(b"", b"") * 10}).encode()
    with pytest.raises(RequestError, match="expected at most 8 files of this size, received 20"):
        read_rows(
            Request("POST", "/invocations", b"", {}, body),
            Numbers("images", "UINT8", np.dtype(np.uint8), (600, 500, 3)),
            limits,
        )


def test_the_files_of_one_request_are_read_within_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes its turn, so that others are read in between; a few bytes may take a second each."""
    spec = Numbers("images", "UINT8", np.dtype(np.uint8), (7, 5, 3))

    def slow(*_: object) -> bytes:
        time.sleep(0.02)
        return bytes(105)

    monkeypatch.setattr(upload, "read_pixels", slow)
    manifest = SimpleNamespace(form=ImageForm(3, 7, 5), reading=AS_EVER)
    served = SimpleNamespace(
        manifest=manifest,
        engine=SimpleNamespace(input=spec),
        limits=Limits.of(spec, 1024, 8_000_000),
        timeout_s=0.1,
    )
    json_type = {b"content-type": b"application/json"}
    request = Request(
        "POST", "/invocations", b"", json_type, json.dumps({"instances": in_base64(b"x") * 900}).encode()
    )
    with pytest.raises(RequestError, match="not read in time") as caught:
        asyncio.run(invoke(Turns(), {"image": upload.Pictures()}, cast(Any, served), request))
    assert caught.value.status == 504


def test_a_large_picture_takes_a_bounded_memory_and_gives_it_back(camera: Server) -> None:
    """M2: the most pixels, of the most bytes each, and turned."""
    (worker,) = camera.workers()
    proc, client = Path(f"/proc/{worker}"), camera.client

    def megabytes(name: str) -> int:
        found = re.search(rf"{name}:\s+(\d+) kB", (proc / "status").read_text())
        assert found
        return int(found[1]) // 1024

    assert client.post("/predict", content=saved("PNG")).status_code == 200
    before = megabytes("VmRSS")
    (proc / "clear_refs").write_text("5")  # forget the peak so far
    turned = chunk(b"eXIf", b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHLHH", 274, 3, 1, 6, 0) + bytes(4))
    assert (
        client.post(
            "/predict", content=png(4000, 3250, pixels=bytes(3250 * 16_001), extras=turned)
        ).status_code
        == 200
    )
    assert megabytes("VmHWM") - before < 150
    assert megabytes("VmRSS") - before < 60


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0, "comment": b"hello"}])
def test_extras_are_left_out_and_the_pixels_stay(options: dict[str, Any]) -> None:
    """L6: megabytes of what Pillow would read piece by piece never reach it."""
    exif = Image.Exif()
    exif[274] = 6
    photo = saved("JPEG", exif=exif, **options)
    extras = segment(0xE2, b"MPF\0" + bytes(9)) + segment(0xED, b"Photoshop 3.0\0" + b"8BIM" * 9000) * 200
    padded = photo[:2] + extras + b"\xff" * 500 + photo[2:] + bytes(10**6)
    _, expected = read_image(io.BytesIO(photo), ImageForm(3, 28, 28))
    assert pixels_of(padded, SHAPE) == expected.transpose(1, 2, 0).tobytes()
    assert len(without_extras(padded, "JPEG")) <= len(photo) + 500


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (lambda: b"\xff\xd8" + segment(0xFE, b"") * 1_000_000 + saved("JPEG")[2:], "more segments than"),
        (lambda: b"\xff\xd8" + segment(0xC4, bytes(60_000)) * 2 + saved("JPEG")[2:], "more segments than"),
        (lambda: b"\xff\xd8" + b"\xff" * 4_000_000 + saved("JPEG")[2:], "not readable"),
        (
            lambda: saved("JPEG", progressive=True)[:-2] + (segment(0xDA, bytes(9)) * 50) + b"\xff\xd9",
            "more scans than",
        ),
        (lambda: png(9, 9, extras=chunk(b"tEXt", b"a\0b") * 300_000), "more chunks than"),
        (lambda: png(9, 9, extras=chunk(b"IDAT", b"") * 300_000), "more chunks than"),
    ],
)
def test_pictures_of_countless_parts_are_refused(picture: Any, reason: str) -> None:
    """L6."""
    with pytest.raises(RequestError, match=reason):
        pixels_of(picture(), SHAPE)


def test_profiles_are_not_unpacked() -> None:
    """L6: 9,000 of 1 MB each."""
    profile = chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(2**20 - 1)))
    pixels = bytes(28 * (28 * 3 + 1))
    assert pixels_of(png(28, 28, 8, 2, pixels=pixels, extras=profile * 9000), SHAPE) == bytes(28 * 28 * 3)


def form(body: bytes, boundary: bytes = b"xyz") -> Request:
    return Request(
        "POST", "/predict", b"", {b"content-type": b"multipart/form-data; boundary=" + boundary}, body
    )


def test_a_form_is_split_no_further_than_its_file_can_be() -> None:
    """L6."""
    field = b'--xyz\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    file = (
        b'--xyz\r\nContent-Disposition: form-data; name="b"; filename="b.png"\r\n\r\nPICTURE\r\n--xyz--\r\n'
    )
    assert picture_bytes(form(field * 50 + file)) == b"PICTURE"
    for request in (
        form(field * 200 + file),
        form(b"--xyz\r\n" * 10**6),
        form(file, b"xyz" * 99),
        form(file, b""),
    ):
        with pytest.raises(RequestError, match="the form has no file"):
            picture_bytes(request)


class Body(bytearray):
    """One that can be seen to go."""


def test_pictures_wait_for_their_turn_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """M2: one more than may wait is 503, so is one that waited too long; whoever has gone is not read."""
    begun, go_on, read = threading.Event(), threading.Event(), []

    def slow(request: Request, *_: object) -> bytes:
        begun.set()
        assert go_on.wait(20)
        read.append(request.body)
        return request.body

    monkeypatch.setattr(upload, "read_pixels", slow)
    monkeypatch.setattr(upload, "MAX_WAITING", 3)

    async def ask() -> tuple[Any, ...]:
        pictures = upload.Pictures()

        def send(name: bytes) -> asyncio.Task[bytes]:
            return asyncio.create_task(
                pictures.pixels(Request("POST", "/predict", b"", {}, name), cast(Any, SHAPE), Reading())
            )

        first = send(b"first")
        await asyncio.to_thread(begun.wait, 20)
        gone = send(b"gone")
        monkeypatch.setattr(upload, "MAX_WAIT_S", 0.001)
        late = send(b"late")
        await asyncio.sleep(0)
        too_many = send(b"too many")
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait({gone, late, too_many})
        go_on.set()
        return await asyncio.gather(first, gone, late, too_many, return_exceptions=True)

    async def leave() -> bool:
        """Whether the body of one that has gone is freed while another is read."""
        pictures = upload.Pictures()
        begun.clear()
        go_on.clear()
        bodies: list[Any] = [b"read", Body(b"gone")]
        body = weakref.ref(bodies[1])
        tasks = [
            asyncio.create_task(
                pictures.pixels(
                    Request("POST", "/predict", b"", {}, bodies.pop(0)), cast(Any, SHAPE), Reading()
                )
            )
            for _ in range(2)
        ]
        await asyncio.to_thread(begun.wait, 20)
        tasks[1].cancel()
        await asyncio.wait({tasks.pop()})
        gc.collect()
        is_freed = body() is None
        go_on.set()
        await tasks[0]
        return is_freed

    first, gone, late, too_many = asyncio.run(ask())
    assert (first, read) == (b"first", [b"first"])
    assert isinstance(gone, asyncio.CancelledError)
    assert (late.status, too_many.status) == (503, 503)
    monkeypatch.setattr(upload, "MAX_WAIT_S", 20)
    assert asyncio.run(leave())
