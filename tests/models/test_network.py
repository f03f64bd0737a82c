"""Laws of stem, blocks, head and features: what fine-tuning and pre-training ask of every network of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from modelyard.models.network import members, renamed
from modelyard.models.sequence import SequenceNetwork
from modelyard.samples import ImageForm, TextForm
from tests.models.former import IMAGES, TEXTS

FIXTURE = Path(__file__).parents[1] / "fixtures" / "a786821" / "networks.safetensors"
ALL = IMAGES | TEXTS


@pytest.fixture(scope="module")
def former() -> dict[str, Tensor]:
    return load_file(FIXTURE)


def build(name: str) -> nn.Module:
    torch.manual_seed(0)
    form = ImageForm(1, 12, 16) if name in IMAGES else TextForm(400)
    return ALL[name].build(form, 3).eval()


def samples(name: str, former: dict[str, Tensor]) -> Tensor:
    return former["images" if name in IMAGES else "symbols"]


@pytest.mark.parametrize("name", ALL)
def test_weights_with_their_former_names_give_their_former_answers(
    name: str, former: dict[str, Tensor]
) -> None:
    model = build(name)
    weights = {
        key.removeprefix(f"{name}/"): value for key, value in former.items() if key.startswith(f"{name}/")
    }
    answers_BK = weights.pop("answers")
    now = renamed(model, weights)
    assert now.keys() == model.state_dict().keys()
    assert renamed(model, now).keys() == now.keys()
    model.load_state_dict(now)
    with torch.no_grad():
        torch.testing.assert_close(model(samples(name, former)), answers_BK, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_a_head_makes_logits_of_features_and_alone_knows_how_many_classes_there_are(
    name: str, former: dict[str, Tensor]
) -> None:
    model, samples_B = build(name), samples(name, former)
    for network in members(model).values():
        with torch.no_grad():
            features_BD = network.features(samples_B)
            torch.testing.assert_close(network(samples_B), network.head(features_BD))
        assert features_BD.shape == (len(samples_B), network.head.in_features)
        others = [key for key in network.state_dict() if key.split(".")[0] not in ("stem", "blocks", "head")]
        assert all(key.startswith("norm.") for key in others)
    form = ImageForm(1, 12, 16) if name in IMAGES else TextForm(400)
    wider = ALL[name].build(form, 5).state_dict()
    differing = [key for key, value in model.state_dict().items() if value.shape != wider[key].shape]
    assert {key.split("head.")[1] for key in differing} == {"weight", "bias"}


@pytest.mark.parametrize("name", ["cnns", "text-rnns"])
def test_networks_that_answer_together_have_features_and_states_in_training_and_after(
    name: str, former: dict[str, Tensor]
) -> None:
    model, samples_B = build(name), samples(name, former)
    for mode in (True, False):
        features_BD = model.train(mode).features(samples_B)  # type: ignore[operator]
        assert features_BD.shape == (5, next(iter(members(model).values())).head.in_features)


@pytest.mark.parametrize("name", TEXTS)
def test_states_stand_for_places_and_padding_has_none(name: str, former: dict[str, Tensor]) -> None:
    model, symbols_BL = build(name), samples(name, former)
    patch: Any = next(iter(members(model).values())).patch
    states_BTD, mask_BT1 = model.states(symbols_BL)  # type: ignore[operator]
    assert states_BTD.shape[:2] == mask_BT1.shape[:2] == (5, -(-symbols_BL.shape[1] // patch))
    assert (mask_BT1.sum((1, 2)) == -(-(symbols_BL != 0).sum(1) // patch)).all()
    assert not states_BTD[mask_BT1.expand_as(states_BTD) == 0].any()
    assert all(isinstance(network, SequenceNetwork) for network in members(model).values())
