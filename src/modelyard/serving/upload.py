"""`POST /predict`: one picture as the body or as a form's file, answered for people with curl."""

from __future__ import annotations

import asyncio
import io
import time

from modelyard.errors import RequestError
from modelyard.serving.exchange import Request, Response, json_response
from modelyard.serving.served import Served

SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
"""Of PNG and JPEG. Others are refused unopened: some of Pillow's readers start programs or are little tested."""
MAX_PIXELS = 50_000_000
"""Larger pictures are refused from their head, before a decompression bomb can fill the memory."""


async def predict(served: Served, request: Request) -> Response:
    """Label and probabilities of one PNG or JPEG file. Raises: RequestError."""
    started = time.perf_counter()
    pixels = await asyncio.to_thread(read_pixels, picture_bytes(request), served.manifest.image_shape)
    outputs = await served.submit(pixels, 1)
    names = [spec.name for spec in served.engine.outputs]
    probabilities_K = outputs[names.index("probabilities")][0].tolist()
    best = max(range(len(probabilities_K)), key=probabilities_K.__getitem__)
    return json_response({
        "label": served.manifest.classes[best], "probability": probabilities_K[best],
        "probabilities": dict(zip(served.manifest.classes, probabilities_K, strict=True)),
        "model": served.name, "version": served.version, "ms": round((time.perf_counter() - started) * 1e3, 3),
    })  # fmt: skip


def read_pixels(picture: bytes, image_shape: tuple[int, int, int]) -> bytes:
    """Raw pixels [H, W, C] of a picture, fitted to the model's size as `modelyard predict` does. Raises: RequestError."""
    from modelyard.data.images import UnreadableImage, read_form, read_image  # Pillow: only who asks for it pays

    if not picture.startswith(SIGNATURES):
        raise RequestError("the body is not a PNG or JPEG file; try: curl --data-binary @digit.png URL/predict")
    height, width, channels = image_shape
    try:
        form = read_form(io.BytesIO(picture))
        if form.height * form.width > MAX_PIXELS:
            raise RequestError(
                f"the picture has {form.width}x{form.height} pixels, at most {MAX_PIXELS} are read; scale it down"
            )
        _, image_CHW = read_image(io.BytesIO(picture), (channels, height, width))
    except UnreadableImage as error:
        raise RequestError(f"the picture is not readable ({error.reason}); expected PNG or JPEG") from None
    return image_CHW.transpose(1, 2, 0).tobytes()


def picture_bytes(request: Request) -> bytes:
    """The picture: the body, or the first file of a multipart form (RFC 7578). Raises: RequestError (400)."""
    content_type = request.headers.get(b"content-type", b"")
    if not content_type.lower().startswith(b"multipart/form-data"):
        return request.body
    _, _, boundary = content_type.partition(b"boundary=")
    boundary = boundary.split(b";")[0].strip().strip(b'"')
    for part in request.body.split(b"--" + boundary)[1:] if boundary else []:
        head, separator, content = part.partition(b"\r\n\r\n")
        if separator and b"filename=" in head.lower():
            return content.removesuffix(b"\r\n")
    raise RequestError("the form has no file; try: curl -F image=@digit.png URL/predict")
