"""What is white and what transparent parts lie on is decided by the training images, and told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from modelyard.data import ground
from modelyard.data.datasets import Dataset
from modelyard.data.options import FolderOptions
from modelyard.errors import DataError
from modelyard.samples import ImageForm
from modelyard.samples.reading import Reading
from modelyard.sources.folder import read_folder
from modelyard.sources.listing import list_images


def read(root: Path, **options: object) -> Dataset:
    scratch = root.parent / f"scratch-{len(list(root.parent.iterdir()))}"
    scratch.mkdir()
    return read_folder(list_images(root), FolderOptions(**options), scratch)  # type: ignore[arg-type]


def notes(dataset: Dataset) -> str:
    return "\n".join(dataset.origin["notes"])


def split_folder(root: Path, train: list[Image.Image], test: list[Image.Image]) -> Path:
    """Two classes with the same images, in the order given."""
    for part, images in (("train", train), ("test", test)):
        for name in ("a", "b"):
            (root / part / name).mkdir(parents=True)
            for number, image in enumerate(images):
                image.save(root / part / name / f"{number:03}.png")
    return root


def grey(high: int, seed: int = 0) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, high, (8, 8)).astype(np.uint16)
    values[0, 0] = high
    return Image.fromarray(values)


@pytest.mark.parametrize(
    ("high", "white"), [(4080, 4095), (4096, 8191), (1, 1), (255, 255), (65_535, 65_535), (33_000, 65_535)]
)
def test_the_range_is_that_of_the_training_images(high: int, white: int, tmp_path: Path) -> None:
    dataset = read(split_folder(tmp_path / "x", [grey(high, n) for n in range(4)], [grey(65_535)]))
    assert dataset.reading.white == white
    assert dataset.train.in_memory.max() == round(high / white * 255)
    assert f"16-bit greys up to {high}: {white} is white" in notes(dataset)
    assert "WARNING" not in notes(dataset)


def test_a_white_may_be_given_and_a_range_that_is_not_used_is_told(tmp_path: Path) -> None:
    root = split_folder(tmp_path / "x", [grey(4080)] * 4, [grey(4080)])
    assert read(root, white=4095).reading == read(root).reading
    wide = read(root, white=65_535)
    assert wide.train.in_memory.max() == 16
    assert "less than an eighth of data.white=65535" in notes(wide)
    assert wide.digest != read(root).digest
    hot = read(split_folder(tmp_path / "hot", [grey(4000)] * 9 + [grey(65_535)], [grey(1)]))
    assert (
        "most files use less than an eighth of data.white=65535, up to 4000 (--set data.white=4095"
        in notes(hot)
    )


@pytest.mark.parametrize(
    ("fit", "told"), [("stretch", "stretched (--set data.fit=pad or crop keeps them)"), ("pad", "padded")]
)
def test_other_proportions_are_told(fit: str, told: str, tmp_path: Path) -> None:
    images = [Image.new("L", size) for size in ((8, 8), (80, 80), (20, 10))]
    found = notes(read(split_folder(tmp_path / "x", images, images[:1]), fit=fit))
    assert found.endswith(f"2 of 8 files have other proportions than 8 x 8: {told}")


def test_a_range_that_the_sample_missed_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ground, "SAMPLES", 1)
    dataset = read(split_folder(tmp_path / "x", [grey(100), grey(100), grey(4000)], [grey(9)]))
    assert (dataset.reading.white, dataset.train.in_memory.max()) == (4095, round(4000 / 4095 * 255))


def drawing(ink: int, alpha: bool, paper: int = 0, mode: str = "LA") -> Image.Image:
    """A cross in `ink` on nothing, or on paper."""
    image = Image.new("LA", (28, 28), (255 - ink, 0) if alpha else (paper, 255))
    pen = ImageDraw.Draw(image)
    pen.line([(6, 6), (21, 21)], fill=(ink, 255), width=3)
    pen.line([(21, 6), (6, 21)], fill=(ink, 255), width=3)
    return image.convert(mode)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize(
    ("train", "ground_level"),
    [
        ([drawing(255, True)] * 4, 0),
        ([drawing(0, True)] * 4, 255),
        ([drawing(200, True)] * 4, 0),
        ([drawing(60, True)] * 4, 255),
        ([drawing(255, False, 20), drawing(255, True)] * 4, 20),
        ([drawing(0, False, 230)] * 5 + [drawing(255, True)], 230),
    ],
)
def test_transparent_pictures_lie_on_what_the_others_lie_on(
    mode: str, train: list[Image.Image], ground_level: int, tmp_path: Path
) -> None:
    dataset = read(
        split_folder(tmp_path / "x", [image.convert(mode) for image in train], [drawing(9, True, mode=mode)])
    )
    assert set(dataset.reading.ground) == {ground_level}
    assert (dataset.train.in_memory[..., 0, 0] == ground_level).all() or ground_level not in {0, 255}
    clear = 2 * sum(image.getextrema()[1][0] == 0 for image in train)  # type: ignore[index]
    told = {0: "black", 255: "white"}.get(ground_level, str(ground_level))
    assert f"{clear} training images are transparent in part: they lie on {told}" in notes(dataset)


def test_a_transparent_test_image_lies_on_the_ground_of_the_opaque_training_images(tmp_path: Path) -> None:
    opaque = [drawing(255, False, 10, "RGB")] * 4
    dataset = read(split_folder(tmp_path / "x", opaque, [drawing(255, True, mode="RGBA")]))
    assert dataset.reading.ground == (10, 10, 10)
    assert (dataset.test.in_memory[:, :, 0, 0] == 10).all()
    assert "transparent" not in notes(dataset)


def test_opaque_pictures_have_a_ground_too_and_a_padded_one_lies_on_it(tmp_path: Path) -> None:
    wide = Image.new("RGB", (56, 28), (10, 20, 30))
    train = [drawing(255, False, 10, "RGB")] * 4 + [wide]
    root = split_folder(tmp_path / "x", train, [wide])
    assert read(root).reading == Reading(ground=(10, 10, 10))
    padded = read(root, fit="pad")
    assert padded.reading == Reading("pad", ground=(10, 10, 10))
    assert (padded.test.in_memory[:, :, 0] == 10).all()
    assert padded.test.in_memory[0, :, 14, 14].tolist() == [10, 20, 30]
    assert len({read(root, fit=fit).digest for fit in ("stretch", "pad", "crop")}) == 3


def test_colour_that_is_dropped_is_told(tmp_path: Path) -> None:
    greys, colours = (
        [Image.new("L", (8, 8), n) for n in range(7)],
        [Image.new("RGB", (8, 8), (n, 0, 200)) for n in range(4)],
    )
    root = split_folder(tmp_path / "x", greys + colours, [greys[0]])
    assert "8 of 24 files are coloured; all are read as grey (--set data.channels=3 keeps colour)" in notes(
        read(root)
    )
    assert "coloured" not in notes(read(root, channels=3))


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1)])
def test_images_without_extent_are_refused_before_training(size: tuple[int, int], tmp_path: Path) -> None:
    root = split_folder(tmp_path / "x", [Image.new("RGB", size)] * 4, [Image.new("RGB", size)])
    with pytest.raises(
        DataError, match=rf"expected images of at least 2 x 2 pixels, received {size[0]} x {size[1]}; give"
    ):
        read(root)
    assert read(root, height=2, width=3).form == ImageForm(3, 2, 3)


def test_too_large_pictures_are_told_apart_from_damaged_ones(tmp_path: Path) -> None:
    root = split_folder(tmp_path / "x", [Image.new("L", (8, 8))] * 4, [Image.new("L", (8, 8))])
    Image.new("1", (100, 50)).save(root / "train" / "a" / "big.png")
    with pytest.raises(
        DataError,
        match=r"1 images are too large: .*big\.png \(too large: 100 x 50 = 5000 pixels, at most 4000 "
        r"are read\); allow more",
    ) as raised:
        read(root, max_pixels=4000)
    assert "--set data.max_pixels" in str(raised.value) and "not readable" not in str(raised.value)
    assert len(read(root, max_pixels=4000, skip_unreadable=True).train) == 8
    assert len(read(root, max_pixels=5000).train) == 9
