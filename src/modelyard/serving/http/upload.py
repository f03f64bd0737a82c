"""`POST /predict`: one picture as the body or as a file of a form, for people with curl."""

from __future__ import annotations

import asyncio
import ctypes
import io
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from http import HTTPStatus

import numpy as np

from modelyard.errors import RequestError, quoted
from modelyard.inference.doubts import doubts
from modelyard.samples import ImageForm
from modelyard.samples.names import PROBABILITIES
from modelyard.samples.reading import Reading
from modelyard.serving.http.exchange import Request, Response, json_response
from modelyard.serving.models.served import Served

MAX_PIXELS = 13_000_000
"""A phone's photo (4,080 x 3,072); larger ones are refused by their header. Reading takes up to 8 bytes a
pixel; formats that take more (`images.DEAR`) have a lower bound.
"""
MAX_WAITING, MAX_WAIT_S = 64, 5.0
MAX_PARTS, MAX_BOUNDARY = 100, 70
"""The most parts of a form, and the longest boundary between them (RFC 2046, 5.1.1)."""
M_MMAP_THRESHOLD = -3
HUSH = partial(warnings.filterwarnings, "ignore", module=r"PIL\.")
"""Ignore warnings about odd metadata: the text of each warning would be kept in memory for ever."""


class Pictures:
    """Reads one picture at a time, on a thread of its own, so that other threads (those that follow
    promotions) never wait for it.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "pictures", initializer=HUSH)
        self._turn = asyncio.Lock()
        self._waiting = 0
        with suppress(
            OSError, AttributeError
        ):  # glibc alone keeps large blocks for later, once it has had them
            ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 2**20)

    async def predict(self, served: Served, request: Request) -> Response:
        """Label and probabilities of one picture, and warnings if it looks wrong. Raises: RequestError (400,
        503).
        """
        started = time.perf_counter()
        form, reading = served.manifest.form, served.manifest.reading
        if (invert := request.query("invert") or "0") not in {"0", "1"}:
            raise RequestError(f"invert: expected 1 or 0, received {quoted(invert)}")
        pixels = await self.pixels(request, form, reading.inverted() if invert == "1" else reading)
        pixels_HWC = np.frombuffer(pixels, np.uint8).reshape(form.hwc) ^ np.uint8(255 * int(invert))
        outputs = await served.submit(pixels_HWC.tobytes(), 1)
        warned = doubts(pixels_HWC, served.manifest)
        names = [spec.name for spec in served.engine.outputs]
        probabilities_K = outputs[names.index(PROBABILITIES)][0].tolist()
        best = max(range(len(probabilities_K)), key=probabilities_K.__getitem__)
        return json_response(
            {
                "label": served.manifest.classes[best],
                "probability": probabilities_K[best],
                PROBABILITIES: dict(zip(served.manifest.classes, probabilities_K, strict=True)),
                "model": served.name,
                "version": served.version,
                "ms": round((time.perf_counter() - started) * 1e3, 3),
                **({"warnings": warned} if warned else {}),
            }
        )

    async def pixels(self, request: Request, form: ImageForm, reading: Reading) -> bytes:
        """Raw pixels [H, W, C]. A request that is cancelled, or waits too long, before its turn is dropped
        without being read.
        """
        self._waiting += 1
        try:
            if self._waiting > MAX_WAITING:
                raise TimeoutError
            async with asyncio.timeout(MAX_WAIT_S):
                await self._turn.acquire()
            return await self._begin(request, form, reading)  # in no variable: an error holds this frame
        except TimeoutError:
            told = "too many pictures are waiting; try again later"
            raise RequestError(told, HTTPStatus.SERVICE_UNAVAILABLE) from None
        finally:
            self._waiting -= 1

    def _begin(self, request: Request, form: ImageForm, reading: Reading) -> asyncio.Future[bytes]:
        """Start the thread; it finishes even if the request is cancelled, and only then is the turn over."""
        pixels = asyncio.get_running_loop().run_in_executor(self._thread, read_pixels, request, form, reading)
        pixels.add_done_callback(lambda _: self._turn.release())
        return asyncio.shield(pixels)


def read_pixels(request: Request, form: ImageForm, how: Reading) -> bytes:
    """Raw pixels [H, W, C] of a picture, fitted to the model's size as `modelyard predict` does. Raises:
    RequestError.
    """
    from modelyard.samples.formats import NAMES
    from modelyard.samples.image import (
        TooLarge,
        UnreadableImage,
        read_image,
    )  # Pillow: only who asks for it pays

    try:
        _, image_CHW = read_image(io.BytesIO(picture_bytes(request)), form, how, MAX_PIXELS)
    except TooLarge as error:
        raise RequestError(f"the picture is {error.reason}; scale it down") from None
    except UnreadableImage as error:
        told = (
            f"the picture is not readable ({error.reason}); expected {NAMES}; try: curl "
            "--data-binary @digit.png URL/predict"
        )
        raise RequestError(told) from None
    return image_CHW.transpose(1, 2, 0).tobytes()


def picture_bytes(request: Request) -> bytes:
    """The picture: the body, or the first file of a multipart form (RFC 7578). Raises: RequestError (400)."""
    content_type = request.headers.get(b"content-type", b"")
    if not content_type.lower().startswith(b"multipart/form-data"):
        return request.body
    _, _, boundary = content_type.partition(b"boundary=")
    boundary = boundary.split(b";")[0].strip().strip(b'"')
    for part in (
        request.body.split(b"--" + boundary, MAX_PARTS)[1:MAX_PARTS]
        if 0 < len(boundary) <= MAX_BOUNDARY
        else []
    ):
        head, separator, content = part.partition(b"\r\n\r\n")
        if separator and b"filename=" in head.lower():
            return content.removesuffix(b"\r\n")
    raise RequestError("the form has no file; try: curl -F image=@digit.png URL/predict")
