"""Dotted keys reach every part, also one that is not there yet."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import Field

from modelyard.config import Config, Part, change
from modelyard.errors import ConfigError


class Mask(Config):
    share: float = Field(0.15, gt=0, lt=1)


class Pretrain(Config):
    epochs: int = Field(3, ge=1)
    mask: Mask | None = None


class Teacher(Config):
    release: str
    weight: float = 0.5


class Whole(Config):
    seed: int = 0
    pretrain: Pretrain | None = None
    teacher: Teacher | None = None
    mask: Mask = Mask()
    memory_mb: Annotated[int | None, Part.HOW] = None
    kwargs: dict[str, int | None] = Field(default_factory=dict)


def test_an_absent_part_is_made_from_its_defaults_when_a_key_below_it_is_assigned() -> None:
    assert Whole().override(["pretrain.epochs=9"]).pretrain == Pretrain(epochs=9)
    assert Whole().override(["pretrain.mask.share=0.3"]).pretrain == Pretrain(mask=Mask(share=0.3))
    both = Whole().override(["teacher.release=a@1", "teacher.weight=0.1"])
    assert both.teacher == Teacher(release="a@1", weight=0.1)


def test_null_takes_an_optional_part_away_and_no_other() -> None:
    whole = Whole(pretrain=Pretrain(epochs=9))
    assert whole.override(["pretrain=null"]).pretrain is None
    assert whole.override(["pretrain=null", "pretrain.mask.share=0.3"]).pretrain == Pretrain(
        mask=Mask(share=0.3)
    )
    with pytest.raises(ConfigError, match=r"unknown recipe key 'mask'"):
        whole.override(["mask=null"])


def test_what_is_wrong_below_an_absent_part_is_told() -> None:
    with pytest.raises(
        ConfigError, match=r"unknown recipe key 'pretrain.epoch': did you mean pretrain.epochs\?"
    ):
        Whole().override(["pretrain.epoch=9"])
    with pytest.raises(
        ConfigError, match=r"legal keys: seed, pretrain, pretrain.epochs, pretrain.mask, pretrain"
    ):
        Whole().override(["nothing=9"])
    with pytest.raises(ConfigError, match=r"pretrain.epochs: Input should be greater than or equal to 1"):
        Whole().override(["pretrain.epochs=0"])
    with pytest.raises(ConfigError, match=r"teacher.release: Field required"):
        Whole().override(["teacher.weight=0.1"])
    with pytest.raises(ConfigError, match=r"pretrain: Input should be a valid dictionary"):
        Whole().override(["pretrain.epochs=2", "pretrain=3"])
    assert Whole().override(["pretrain=3", "pretrain.epochs=2"]).pretrain == Pretrain(epochs=2)


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 100_000])
def test_a_value_that_is_too_long_for_python_is_refused_as_text(value: str) -> None:
    with pytest.raises(ConfigError, match=r"^seed: .*integer"):
        Whole().override([f"seed={value}"])


def test_a_changed_copy_is_validated() -> None:
    assert change(Mask(), share=0.3) == Mask(share=0.3)
    with pytest.raises(ConfigError, match="shares: Extra inputs are not permitted"):
        change(Mask(), shares=0.3)
    with pytest.raises(ConfigError, match="share: Input should be less than 1"):
        change(Mask(), share=3)


def test_a_field_that_is_none_or_says_how_is_not_of_what_is_made() -> None:
    assert Whole().made() == {"seed": 0, "mask": {"share": 0.15}, "kwargs": {}}
    assert Whole(memory_mb=9).made() == Whole().made()
    assert Whole(kwargs={"depth": None}).made() != Whole().made()
