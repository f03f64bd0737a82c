"""Every mode, depth and orientation ends as the pixels a person would expect."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from modelyard.data import fitting
from modelyard.data.images import Form, UnreadableImage, pillow_warnings_hushed, read_form, read_image

SIZE = (6, 4)
"""Width, height."""
SHAPE_GREY, SHAPE_COLOUR = (1, 4, 6), (3, 4, 6)


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
def test_every_mode_is_read(name: str, image: Image.Image, mode: str, pixel: list[int], tmp_path: Path) -> None:
    image.save(tmp_path / name, lossless=True)
    form, pixels_CHW = read_image(tmp_path / name, SHAPE_GREY if len(pixel) == 1 else SHAPE_COLOUR)
    assert form == Form(4, 6, mode) == read_form(tmp_path / name)
    assert form.channels == len(pixel)
    assert pixels_CHW.shape == (len(pixel), 4, 6)
    np.testing.assert_allclose(pixels_CHW.reshape(len(pixel), -1).T, np.broadcast_to(pixel, (24, len(pixel))), atol=1)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_the_cameras_orientation_is_applied(suffix: str, tmp_path: Path) -> None:
    upright = np.zeros((16, 8), np.uint8)
    upright[:8] = 255  # white above
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it a quarter turn clockwise
    Image.fromarray(np.rot90(upright)).save(tmp_path / f"turned.{suffix}", exif=exif)
    form, pixels_CHW = read_image(tmp_path / f"turned.{suffix}", (1, 16, 8))
    assert (form.height, form.width) == (16, 8)
    np.testing.assert_allclose(pixels_CHW[0], upright, atol=3)


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", SIZE, colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    _, pixels_CHW = read_image(tmp_path / "a.gif", SHAPE_COLOUR)
    assert pixels_CHW[:, 0, 0].tolist() == [255, 0, 0]


def test_a_large_photo_is_shrunk_as_its_full_decode_would_be(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    photo = Image.fromarray(generator.integers(0, 255, (9, 12, 3), np.uint8)).resize((1200, 900), Image.Resampling.BICUBIC)
    photo.save(tmp_path / "photo.jpg", quality=95)
    _, pixels_CHW = read_image(tmp_path / "photo.jpg", (3, 45, 60))
    whole = np.asarray(photo.resize((60, 45), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    assert np.abs(pixels_CHW.astype(int) - whole).mean() < 2


def test_floating_point_pixels_are_refused(tmp_path: Path) -> None:
    Image.new("F", SIZE, 0.5).save(tmp_path / "f.tif")
    with pytest.raises(UnreadableImage, match=r"f\.tif: not a readable image \(floating-point pixels have no defined white\)"):
        read_image(tmp_path / "f.tif", SHAPE_GREY)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif", "webp", "tif"])
def test_damaged_files_of_every_kind_are_one_error(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(path)
    content = path.read_bytes()
    for kept in (0, 3, 20, len(content) // 2):
        path.write_bytes(content[:kept])
        with pillow_warnings_hushed(), pytest.raises(UnreadableImage, match="not a readable image"):
            read_image(path, (3, 8, 8))
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
    form, pixels_CHW = read_image(tmp_path / "p.png", (3, *expected.shape[:2]))
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
