"""Pictures that are wrong are said to be wrong, rightly made ones are not, and inverting mends those that are
inverted.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from modelyard.bundle import Manifest
from modelyard.data.datasets import Dataset
from modelyard.inference.doubts import doubts, training_facts
from modelyard.inference.doubts.images import OPPOSITE_BORDERS, opposite_borders
from modelyard.samples import ImageForm
from modelyard.samples.image import picture_pixels
from modelyard.samples.reading import FITS, Reading
from modelyard.samples.signature import Signature

DARK, BRIGHT, MIDDLING = (0,), (250,), (129,)


def manifest(ground: tuple[int, ...], opposite: float | None = 0.0) -> Manifest:
    metrics = {} if opposite is None else {OPPOSITE_BORDERS: opposite}
    return Manifest(
        model_name="x",
        architecture="cnn",
        classes=("a",),
        signature=Signature.of_classifier(ImageForm(1, 28, 28), 1),
        temperature=1.0,
        data_digest="0",
        recipe={},
        metrics=metrics,
        environment={},
        files={},
        reading=Reading(ground=ground),
    )


def drawn(ground: int, pen: int, channels: int = 1) -> NDArray[np.uint8]:
    """A cross that touches the border, with a camera's noise."""
    pixels_HWC = np.full((12, 10, channels), ground)
    pixels_HWC[:, 4:6] = pixels_HWC[5:7] = pen
    noise_HWC = np.random.default_rng(0).integers(-5, 6, pixels_HWC.shape)
    return (pixels_HWC + noise_HWC).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("known", "opposite", "ground", "pen", "expected"),
    [
        (DARK, 0.0, 0, 255, ""), (DARK, 0.0, 255, 0, "border is bright, that of the training images dark"),
        (DARK, 0.0, 170, 60, "border is bright"), (DARK, 0.0, 90, 255, ""), (BRIGHT, 0.0, 255, 0, ""),
        (BRIGHT, 0.008, 3, 200, "border is dark, that of the training "
"images bright"), (BRIGHT, 0.0, 200, 99, ""),
        (MIDDLING, 0.0, 255, 0, ""), (MIDDLING, 0.0, 0, 255, ""),  # the ground is no side
        # borders tell nothing, or nobody looked: a former bundle
        (DARK, 0.05, 255, 0, ""), (DARK, None, 255, 0, ""),
        (DARK, 0.0, 255, 255, "blank: "), (MIDDLING, 0.5, 128, 128, "blank: "),
        # 12 bits taken for 16
        (DARK, None, 7, 7, "transparent ground, invert it"), (DARK, 0.0, 5, 11, "blank: "),
    ],
)  # fmt: skip
def test_what_is_doubted(
    known: tuple[int, ...], opposite: float | None, ground: int, pen: int, expected: str, channels: int
) -> None:
    found = doubts(drawn(ground, pen, channels), manifest(known * channels, opposite))
    assert len(found) == bool(expected)
    assert all(expected in text for text in found)
    assert all(text.endswith("; invert it") for text in found if "blank" not in text)


def test_real_images_are_told_from_their_negatives(digits: Dataset) -> None:
    images_NHWC = digits.test.in_memory.transpose(0, 2, 3, 1)
    facts = training_facts(digits.form, digits.test.in_memory, digits.reading)
    assert facts == {OPPOSITE_BORDERS: 0.0}
    known = manifest(digits.reading.ground, facts[OPPOSITE_BORDERS])
    assert not any(doubts(image_HWC, known) for image_HWC in images_NHWC)
    assert all("inverted" in doubts(255 - image_HWC, known)[0] for image_HWC in images_NHWC)
    assert opposite_borders(images_NHWC, (255,)) == 1.0


@pytest.mark.parametrize(("mode", "fit"), product(["L", "RGB", "LA", "RGBA"], FITS))
def test_an_inverted_picture_lies_on_the_same_ground(mode: str, fit: str) -> None:
    """The drawn colours are inverted; what is transparent, or padded, shows the ground as ever. Averages may
    round by one.
    """
    channels = 1 if mode in {"L", "LA"} else 3
    reading = Reading(fit, ground=(10, 200, 30)[:channels])  # type: ignore[arg-type]
    values = np.random.default_rng(0).integers(0, 256, (8, 14, len(mode)), np.uint8)
    picture = Image.fromarray(values[..., 0] if mode == "L" else values, mode if mode != "LA" else None)
    *colours, alpha = [*picture.split()] if mode in {"LA", "RGBA"} else [*picture.split(), None]
    inverted = [ImageOps.invert(band) for band in colours if band is not None]
    other = Image.merge(mode, [*inverted, *([alpha] if alpha else [])])
    expected_HWC = picture_pixels(other, ImageForm(channels, 9, 9), reading)
    found_HWC = 255 - picture_pixels(picture, ImageForm(channels, 9, 9), reading.inverted())
    assert np.abs(found_HWC.astype(int) - expected_HWC).max() <= 2
