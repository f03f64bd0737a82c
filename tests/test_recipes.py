"""Wrong names and values are told with the legal ones."""

from __future__ import annotations

import pytest

from modelyard.data.sources import load_dataset
from modelyard.errors import ConfigError, DataError
from modelyard.recipes import make_recipe, named_recipes


def test_unknown_names_are_told_the_legal_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown architecture 'cnm': expected one of cnn, rnn"):
        make_recipe("cnm", "smoke")
    with pytest.raises(ConfigError, match=r"did you mean training\.epochs\?"):
        make_recipe("cnn", "smoke").override(["training.epoch=3"])
    with pytest.raises(ConfigError, match=r"training\.epochs: Input should be greater"):
        make_recipe("cnn", "smoke").override(["training.epochs=0"])
    with pytest.raises(DataError, match="unknown data set 'mnits': expected auto, digits"):
        load_dataset("mnits")


def test_augmentation_follows_the_named_data_and_the_user_last() -> None:
    assert not named_recipes(["cnn"], "smoke", dataset="mnist")["cnn"].training.augment.flip
    assert named_recipes(["cnn"], "smoke", dataset="fashion-mnist")["cnn"].training.augment.flip
    chosen = named_recipes(["cnn"], "smoke", ["training.augment.flip=false"], dataset="fashion-mnist")
    assert not chosen["cnn"].training.augment.flip
