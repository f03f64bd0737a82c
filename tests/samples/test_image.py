"""Every mode, depth and orientation ends as the pixels a person would expect."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from modelyard.samples import ImageForm, fitting
from modelyard.samples.image import (
    FileForm,
    TooLarge,
    UnreadableImage,
    picture_pixels,
    pillow_warnings_hushed,
    read_form,
    read_image,
)
from modelyard.samples.reading import Fit, Reading
from tests.data.pictures import DAMAGED, FORMATS, SENSELESS, painting, saved

SIZE = (6, 4)
"""Width, height."""
SHAPE_GREY, SHAPE_COLOUR = ImageForm(1, 4, 6), ImageForm(3, 4, 6)


def palette(transparent: bool = False) -> Image.Image:
    image = Image.new("P", SIZE, 1)
    image.putpalette([0, 0, 0, 10, 20, 200])
    if transparent:
        image.info["transparency"] = 1
    return image


def sixteen_bit() -> Image.Image:
    return Image.fromarray(np.full((4, 6), 100 * 257, np.uint16))


@pytest.mark.parametrize(
    ("name", "image", "mode", "pixel"),
    [
        ("1.png", Image.new("1", SIZE, 1), "1", [255]),
        ("L.png", Image.new("L", SIZE, 77), "L", [77]),
        ("LA-clear.png", Image.new("LA", SIZE, (0, 0)), "LA", [255]),
        ("LA-half.png", Image.new("LA", SIZE, (0, 128)), "LA", [127]),
        ("16.png", sixteen_bit(), "I;16", [100]),
        ("16.tif", sixteen_bit(), "I;16", [100]),
        ("32.tif", Image.fromarray(np.full((4, 6), 100 * 257, np.int32)), "I", [100]),
        ("RGB.png", Image.new("RGB", SIZE, (10, 20, 200)), "RGB", [10, 20, 200]),
        ("RGB.bmp", Image.new("RGB", SIZE, (10, 20, 200)), "RGB", [10, 20, 200]),
        ("P.png", palette(), "P", [10, 20, 200]),
        ("P-clear.png", palette(transparent=True), "P", [255, 255, 255]),
        ("RGBA-clear.png", Image.new("RGBA", SIZE, (9, 9, 9, 0)), "RGBA", [255, 255, 255]),
        ("RGBA-half.webp", Image.new("RGBA", SIZE, (255, 0, 0, 128)), "RGBA", [255, 127, 127]),
        ("CMYK.tif", Image.new("CMYK", SIZE, (0, 255, 255, 0)), "CMYK", [255, 0, 0]),
    ],
)
def test_every_mode_is_read(
    name: str, image: Image.Image, mode: str, pixel: list[int], tmp_path: Path
) -> None:
    image.save(tmp_path / name, lossless=True)
    form, pixels_CHW = read_image(tmp_path / name, SHAPE_GREY if len(pixel) == 1 else SHAPE_COLOUR)
    assert form == FileForm(4, 6, mode) == read_form(tmp_path / name)
    assert form.channels == len(pixel)
    assert pixels_CHW.shape == (len(pixel), 4, 6)
    np.testing.assert_allclose(
        pixels_CHW.reshape(len(pixel), -1).T, np.broadcast_to(pixel, (24, len(pixel))), atol=1
    )


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_the_cameras_orientation_is_applied(suffix: str, tmp_path: Path) -> None:
    upright = np.zeros((16, 8), np.uint8)
    upright[:8] = 255  # white above
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it a quarter turn clockwise
    Image.fromarray(np.rot90(upright)).save(tmp_path / f"turned.{suffix}", exif=exif)
    form, pixels_CHW = read_image(tmp_path / f"turned.{suffix}", ImageForm(1, 16, 8))
    assert (form.height, form.width) == (16, 8)
    np.testing.assert_allclose(pixels_CHW[0], upright, atol=3)


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", SIZE, colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    _, pixels_CHW = read_image(tmp_path / "a.gif", SHAPE_COLOUR)
    assert pixels_CHW[:, 0, 0].tolist() == [255, 0, 0]


def test_a_large_photo_is_shrunk_as_its_full_decode_would_be(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    photo = Image.fromarray(generator.integers(0, 255, (9, 12, 3), np.uint8)).resize(
        (1200, 900), Image.Resampling.BICUBIC
    )
    photo.save(tmp_path / "photo.jpg", quality=95)
    _, pixels_CHW = read_image(tmp_path / "photo.jpg", ImageForm(3, 45, 60))
    whole = np.asarray(photo.resize((60, 45), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    assert np.abs(pixels_CHW.astype(int) - whole).mean() < 2


def test_floating_point_pixels_are_refused(tmp_path: Path) -> None:
    Image.new("F", SIZE, 0.5).save(tmp_path / "f.tif")
    with pytest.raises(
        UnreadableImage, match=r"f\.tif: not a readable image \(floating-point pixels have no defined white\)"
    ):
        read_image(tmp_path / "f.tif", SHAPE_GREY)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif", "webp", "tif"])
def test_damaged_files_of_every_kind_are_one_error(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(path)
    content = path.read_bytes()
    for kept in (0, 3, 20, len(content) // 2):
        path.write_bytes(content[:kept])
        with pillow_warnings_hushed(), pytest.raises(UnreadableImage, match="not a readable image"):
            read_image(path, ImageForm(3, 8, 8))
    with pytest.raises(UnreadableImage, match="no such file"):
        read_image(tmp_path / "none.png", SHAPE_GREY)


@pytest.mark.parametrize("orientation", range(10))
def test_a_picture_is_turned_strip_by_strip_as_in_one_piece(
    orientation: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "STRIP_PIXELS", 12)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 5, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(tmp_path / "p.png", exif=exif)
    with Image.open(tmp_path / "p.png") as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    form, pixels_CHW = read_image(tmp_path / "p.png", ImageForm(3, *expected.shape[:2]))
    assert (form.height, form.width) == expected.shape[:2]
    np.testing.assert_array_equal(pixels_CHW.transpose(1, 2, 0), expected)


def test_l11_whatever_pillow_raises_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", SIZE).save(tmp_path / "x.png")
    for error in (TypeError("a\nb"), MemoryError(), IndexError("index"), RecursionError("deep")):

        def broken(*_: object, failure: Exception = error) -> None:
            raise failure

        monkeypatch.setattr(Image, "open", broken)
        with pytest.raises(UnreadableImage, match="x\\.png: not a readable image"):
            read_image(tmp_path / "x.png", SHAPE_GREY)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", ["x.png", "x.tga", "x"])
def test_a_file_of_any_format_under_any_name_has_the_pixels_that_pillow_finds(
    kind: str, name: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(saved(kind))
    with Image.open(tmp_path / name) as image:
        expected = np.asarray(image.convert("RGB"))
    form, pixels_CHW = read_image(tmp_path / name, ImageForm(3, 30, 40))
    assert (form.height, form.width) == (30, 40)
    np.testing.assert_array_equal(pixels_CHW.transpose(1, 2, 0), expected)
    assert np.abs(expected.astype(int) - np.asarray(painting())).mean() < 8
    np.testing.assert_array_equal(picture_pixels(tmp_path / name, ImageForm(3, 30, 40)), expected)


def test_a_cameras_raw_file_is_not_read_for_its_thumbnail(tmp_path: Path) -> None:
    (tmp_path / "x.NEF").write_bytes(saved("TIFF"))
    with pytest.raises(UnreadableImage, match="unknown format"):
        read_image(tmp_path / "x.NEF", SHAPE_GREY)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("case", [*DAMAGED, *SENSELESS])
def test_damaged_exif_leaves_the_pixels_and_the_orientation(kind: str, case: str) -> None:
    block, is_turned = (DAMAGED | SENSELESS)[case], case in DAMAGED
    if kind == "TIFF":
        content = with_tiff_entries(block)
    elif kind == "AVIF":  # its orientation is a property of its own; what EXIF says of it is of no matter
        content = avif_with(block)
        is_turned = True
    else:
        content = saved(kind, exif=block)
    with pillow_warnings_hushed():
        form, pixels_CHW = read_image(
            io.BytesIO(content), ImageForm(3, 40, 30) if is_turned else ImageForm(3, 30, 40)
        )
    assert (form.height, form.width) == ((40, 30) if is_turned else (30, 40))
    upright = painting().transpose(Image.Transpose.ROTATE_270) if is_turned else painting()
    assert np.abs(pixels_CHW.transpose(1, 2, 0).astype(int) - np.asarray(upright)).mean() < 8


def avif_with(block: bytes) -> bytes:
    """A turned AVIF file whose EXIF item is this block; Pillow would write it anew."""
    notes = Image.Exif()
    notes[0x10F], notes[0x112] = "M" * 400, 6
    content = saved("AVIF", exif=notes)
    end = content.index(b"M" * 400) + 400
    at = max(content.rfind(order, 0, end) for order in (b"II*\0", b"MM\0*"))
    return content[:at] + block[6:].ljust(end - at, b"\0") + content[end:]


def with_tiff_entries(block: bytes) -> bytes:
    """A TIFF file with these entries of an EXIF block beside its own."""
    content = saved("TIFF")
    (at,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, at)
    own = [content[at + 2 + 12 * n : at + 14 + 12 * n] for n in range(count)]
    more = [
        block[16 + 12 * n : 28 + 12 * n]
        for n in range(block[14] if block[6:10] == b"II*\0" and len(block) > 27 else 0)
    ]
    more = [entry for entry in more if len(entry) == 12 and entry[:2] != b"\0\1"]  # the sizes are not EXIF's
    entries = sorted(own + more, key=lambda entry: int.from_bytes(entry[:2], "little"))
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    return content[:4] + struct.pack("<I", len(content)) + content[8:] + directory


@pytest.mark.parametrize("spoilt", ["length", "crc"])
def test_png_notes_never_spoil_the_pixels(spoilt: str) -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("notes", "x" * 3_000_000, zip=True)
    notes.add_text("Raw profile type exif", "y" * 3_000_000, zip=True)
    notes.add_itxt("XML:com.adobe.xmp", "z" * 3_000_000, zip=True)
    content = bytearray(saved("PNG", pnginfo=notes, exif=DAMAGED["a pointer to itself"]))
    if spoilt == "crc":
        at = content.index(b"eXIf")
        size = int.from_bytes(content[at - 4 : at], "big")
        content[at + 4 + size] ^= 1
    form, _ = read_image(io.BytesIO(bytes(content)), ImageForm(3, 30, 40))
    assert (form.height, form.width) == ((40, 30) if spoilt == "length" else (30, 40))


@pytest.mark.parametrize("kind", FORMATS)
def test_a_large_picture_of_ones_own_is_read_up_to_the_number_given(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow's own limit, and a half above it, stays as it was for others."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    content = saved(kind)
    with pillow_warnings_hushed():
        _, pixels_CHW = read_image(io.BytesIO(content), ImageForm(3, 8, 8))
        assert Image.MAX_IMAGE_PIXELS == 500
        with pytest.raises(TooLarge, match=r": too large: 40 x 30 = 1200 pixels, at most [0-9]+ are read$"):
            read_image(io.BytesIO(content), ImageForm(3, 8, 8), max_pixels=1199)
        with pytest.raises(TooLarge, match=r": too large: .* at most 400 are read$"):
            read_image(io.BytesIO(content), ImageForm(3, 8, 8), max_pixels=400)
    assert pixels_CHW.any()
    monkeypatch.undo()
    np.testing.assert_array_equal(read_image(io.BytesIO(content), ImageForm(3, 8, 8))[1], pixels_CHW)


def disc(width: int, height: int) -> Image.Image:
    y, x = np.mgrid[0:height, 0:width]
    return Image.fromarray(
        ((x - width / 2 + 0.5) ** 2 + (y - height / 2 + 0.5) ** 2 < 80**2).astype(np.uint8) * 255
    )


@pytest.mark.parametrize("size", [(400, 200), (200, 400), (201, 399), (200, 200)])
@pytest.mark.parametrize("fit", ["stretch", "pad", "crop"])
def test_a_disc_stays_one_unless_it_is_stretched(fit: Fit, size: tuple[int, int], tmp_path: Path) -> None:
    disc(*size).save(tmp_path / "disc.png")
    _, pixels_CHW = read_image(tmp_path / "disc.png", ImageForm(1, 60, 60), Reading(fit, ground=(7,)))
    is_disc = pixels_CHW[0] > 127
    height, width = is_disc.any(1).sum(), is_disc.any(0).sum()
    is_square = size == (200, 200)
    assert (abs(height - width) <= 1) == (fit != "stretch" or is_square)
    assert max(height, width) == pytest.approx(24 if fit == "pad" and not is_square else 48, abs=1)
    assert pixels_CHW[0, 0, 0] == (7 if fit == "pad" and not is_square else 0)
    assert (
        abs(int(np.flatnonzero(is_disc.any(1)).mean()) - 29) <= 1
        and abs(int(np.flatnonzero(is_disc.any(0)).mean()) - 29) <= 1
    )


@pytest.mark.parametrize("size", [(1, 1000), (1000, 1), (3, 2), (2, 3)])
@pytest.mark.parametrize("fit", ["stretch", "pad", "crop"])
def test_the_thinnest_pictures_fit(fit: Fit, size: tuple[int, int]) -> None:
    pixels_HWC = picture_pixels(
        Image.new("RGB", size, (9, 9, 9)), ImageForm(3, 4, 5), Reading(fit, ground=(1, 2, 3))
    )
    assert {tuple(pixel) for pixel in pixels_HWC.reshape(-1, 3).tolist()} <= {(9, 9, 9), (1, 2, 3)}
    assert (pixels_HWC == 9).any()


@pytest.mark.parametrize(
    ("image", "ground", "pixel"),
    [
        (Image.new("LA", SIZE, (0, 0)), (40,), [40]),
        (Image.new("RGBA", SIZE, (9, 9, 9, 0)), (10, 20, 30), [10, 20, 30]),
        (Image.new("RGBA", SIZE, (255, 0, 0, 128)), (0,), [128, 0, 0]),
        (palette(transparent=True), (10, 20, 30), [10, 20, 30]),
        (Image.new("RGBA", SIZE, (9, 8, 7, 255)), (0,), [9, 8, 7]),
    ],
)
def test_transparent_parts_show_the_ground(
    image: Image.Image, ground: tuple[int, ...], pixel: list[int], tmp_path: Path
) -> None:
    image.save(tmp_path / "x.png")
    form, pixels_CHW = read_image(tmp_path / "x.png", ImageForm(len(pixel), 4, 6), Reading(ground=ground))
    np.testing.assert_allclose(pixels_CHW[:, 0, 0], pixel, atol=1)
    assert form.is_clear == (pixel != [9, 8, 7])


@pytest.mark.parametrize(
    ("white", "value", "seen"),
    [(4095, 4095, 255), (4095, 2048, 128), (4095, 60_000, 255), (65_535, 2570, 10)],
)
@pytest.mark.parametrize("save", [{"format": "PNG"}, {"format": "TIFF"}, {"format": "JPEG2000"}])
def test_deep_greys_are_scaled_by_their_white(
    white: int, value: int, seen: int, save: dict[str, Any]
) -> None:
    stream = io.BytesIO()
    Image.fromarray(np.full((4, 6), value, np.uint16)).save(stream, **save)
    form, pixels_CHW = read_image(io.BytesIO(stream.getvalue()), SHAPE_GREY, Reading(white=white))
    assert (pixels_CHW == seen).all()
    assert form.peak == value
