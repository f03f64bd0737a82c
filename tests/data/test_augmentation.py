"""Augmentation moves, mirrors and erases pixels and does nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from modelyard.data.augmentation import AugmentConfig, augment

NOTHING = AugmentConfig(shift=0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images_BCHW() -> Tensor:
    return torch.randint(1, 256, (67, 3, 11, 13), dtype=torch.uint8, generator=generator(1))


def test_no_change_is_only_the_unit_range(images_BCHW: Tensor) -> None:
    assert torch.equal(augment(images_BCHW, NOTHING, generator()), images_BCHW.float() / 255)


def test_each_image_is_one_of_its_shifts(images_BCHW: Tensor) -> None:
    """Whole pixels, black where nothing was; in a batch of this size every shift of -1..1 occurs."""
    moved_BCHW = (augment(images_BCHW, AugmentConfig(shift=1), generator()) * 255).round().byte()
    padded_BCHW = torch.nn.functional.pad(images_BCHW, (1, 1, 1, 1))
    shifts = [(down, right) for down in range(3) for right in range(3)]
    candidates = torch.stack(
        [padded_BCHW[:, :, down : down + 11, right : right + 13] for down, right in shifts]
    )
    same_SB = (candidates == moved_BCHW).flatten(2).all(2)
    assert torch.equal(same_SB.sum(0), torch.ones(67, dtype=torch.int64))
    assert bool(same_SB.any(1).all())


def test_a_mirror_image_is_exact_and_half_of_them_are(images_BCHW: Tensor) -> None:
    changed_BCHW = (augment(images_BCHW, AugmentConfig(shift=0, flip=True), generator()) * 255).round().byte()
    same_B, mirrored_B = (
        (changed_BCHW == wanted).flatten(1).all(1) for wanted in (images_BCHW, images_BCHW.flip(3))
    )
    assert torch.equal(same_B | mirrored_B, torch.ones(67, dtype=torch.bool))
    assert 15 < int(mirrored_B.sum()) < 52


def test_a_square_is_erased_and_no_other_pixel(images_BCHW: Tensor) -> None:
    erased_BCHW = augment(images_BCHW, AugmentConfig(shift=0, erase=5), generator())
    black_BHW = (erased_BCHW == 0).all(1)
    assert torch.equal(erased_BCHW != 0, ~black_BHW[:, None].expand(-1, 3, -1, -1))
    heights_B, widths_B = (black_BHW.any(2).sum(1), black_BHW.any(1).sum(1))
    assert torch.equal(
        black_BHW.flatten(1).sum(1), heights_B * widths_B
    )  # a rectangle, cut off at the border
    assert int(heights_B.max()) == int(widths_B.max()) == 5
    assert int(heights_B.min()) >= 2


def test_warping_by_nothing_changes_nothing(images_BCHW: Tensor) -> None:
    tiny = AugmentConfig(shift=0, rotate=1e-4)
    torch.testing.assert_close(
        augment(images_BCHW, tiny, generator()), images_BCHW.float() / 255, atol=1e-3, rtol=0
    )


def test_shift_survives_a_warp_without_blur() -> None:
    images_BCHW = torch.zeros(8, 1, 11, 13, dtype=torch.uint8)
    images_BCHW[:, :, 5, 6] = 255
    moved_BCHW = augment(images_BCHW, AugmentConfig(shift=2, rotate=1e-4), generator())
    torch.testing.assert_close(moved_BCHW.flatten(1).amax(1), torch.ones(8), atol=1e-3, rtol=0)
    assert not torch.allclose(moved_BCHW, images_BCHW.float() / 255, atol=0.1)


def test_a_slanted_line_stays_straight_and_leans_no_more_than_told() -> None:
    images_BCHW = torch.zeros(64, 1, 11, 21, dtype=torch.uint8)
    images_BCHW[:, :, :, 10] = 255
    slanted_BHW = augment(images_BCHW, AugmentConfig(shift=0, shear=0.5), generator())[:, 0]
    places_BH = (slanted_BHW * torch.arange(21)).sum(2) / slanted_BHW.sum(2)
    lean_B = (places_BH[:, -1] - places_BH[:, 0]) / 10
    assert 0.4 < float(lean_B.abs().max()) < 0.51 and bool((lean_B > 0).any() and (lean_B < 0).any())
    straight_BH = places_BH[:, :1] + lean_B[:, None] * torch.arange(11)
    torch.testing.assert_close(places_BH, straight_BH, atol=0.15, rtol=0)


@pytest.mark.parametrize(
    "changes", [{"shift": 2}, {"flip": True}, {"erase": 4}, {"rotate": 9.0}, {"shear": 0.3}]
)
def test_one_seed_one_result(changes: dict[str, float], images_BCHW: Tensor) -> None:
    config = AugmentConfig.model_validate({"shift": 0} | changes)
    first, again, other = (augment(images_BCHW, config, generator(seed)) for seed in (2, 2, 3))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
