"""`POST /predict`: one picture as the body or as a file of a form, for people with curl."""

from __future__ import annotations

import asyncio
import ctypes
import io
import time
import warnings
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from http import HTTPStatus

import numpy as np

from modelyard.errors import RequestError, quoted
from modelyard.inference.doubts import doubts
from modelyard.samples import ImageForm
from modelyard.samples.reading import Reading
from modelyard.serving.http.exchange import Request, Response, json_response
from modelyard.serving.http.forms import sent_file
from modelyard.serving.http.predictions import by_whom, predictions
from modelyard.serving.models.served import Served

MAX_PIXELS = 13_000_000
"""A phone's photo (4,080 x 3,072); larger ones are refused by their header. Reading takes up to 8 bytes a
pixel; formats that take more (`images.DEAR`) have a lower bound.
"""
MAX_WAITING, MAX_WAIT_S = 64, 5.0
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
        (found,) = predictions(served, outputs, [doubts(pixels_HWC, served.manifest)])
        return json_response(found | by_whom(served, started))

    async def rows(self, served: Served, files: Iterable[Request]) -> bytes:
        """Raw pixels of pictures [N, H, W, C]. Raises: RequestError (400, 503)."""
        form, reading = served.manifest.form, served.manifest.reading
        return b"".join([await self.pixels(file, form, reading) for file in files])

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
    """The picture: the body, or the first file of a multipart form. Raises: RequestError (400)."""
    return sent_file(request, "curl -F image=@digit.png URL/predict")
