"""Laws of every architecture."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from modelyard.models import CnnConfig, TransformerConfig
from modelyard.models.cnn import _Resize
from modelyard.models.size import measure_size
from modelyard.recipes.named import ARCHITECTURES, make_recipe
from modelyard.samples import ImageForm

ALL = (*ARCHITECTURES, "lenet", "lstm", "vit")


@pytest.mark.parametrize("architecture", ALL)
def test_logits_have_distinct_dims(architecture: str) -> None:
    model = make_recipe(architecture, "smoke").model.build(ImageForm(3, 22, 26), 7)
    assert model(torch.rand(5, 3, 22, 26)).shape == (5, 7)


@pytest.mark.parametrize("architecture", ALL)
def test_size_counts_every_parameter_and_some_work(architecture: str) -> None:
    model = make_recipe(architecture, "smoke").model.build(ImageForm(1, 28, 28), 10)
    size = measure_size(model, ImageForm(1, 28, 28))
    assert size.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert size.flops > size.parameters
    assert size.activation_bytes > 4 * 10


def test_flops_of_a_known_layer() -> None:
    convolution = torch.nn.Conv2d(3, 5, 3, padding=1)
    assert measure_size(convolution, ImageForm(3, 11, 7)).flops == 2 * 11 * 7 * 3 * 3 * 3 * 5


@pytest.mark.parametrize("side", range(1, 40))
def test_every_window_of_the_cnn_sees_the_image(side: int) -> None:
    cells_BC44 = _Resize()(torch.ones(2, 3, side, side + 1))
    assert cells_BC44.shape == (2, 3, 4, 4)
    assert cells_BC44.min() > 0


@pytest.mark.parametrize("patch", [4, 8, 12, 16])
def test_a_pooling_stem_makes_one_token_of_a_patch(patch: int) -> None:
    model = TransformerConfig(patch=patch, stem="pool").build(ImageForm(3, 22, 26), 7)
    tokens_BTD = model.get_submodule("stem")(torch.rand(5, 3, 22, 26))
    assert tokens_BTD.shape == (5, -(-22 // patch) * -(-26 // patch), 64)
    assert model(torch.rand(5, 3, 22, 26)).shape == (5, 7)


def test_a_patch_that_the_stem_cannot_halve_is_refused() -> None:
    with pytest.raises(
        ValidationError, match=r"patch \(6\) must be a multiple of 4: the pooling stem halves the image twice"
    ):
        TransformerConfig(patch=6, stem="pool")


@pytest.mark.parametrize("stages", [2, 3, 5])
def test_a_resnet_doubles_its_channels_where_it_halves_the_image(stages: int) -> None:
    model = CnnConfig(variant="resnet", width=3, stages=stages).build(ImageForm(3, 22, 27), 7)
    stem, blocks = model.get_submodule("stem"), model.get_submodule("blocks")
    features_BCHW = blocks(stem(torch.rand(5, 3, 22, 27)))
    halvings = 2 ** (stages - 1)
    assert features_BCHW.shape == (5, 3 * halvings, -(-22 // halvings), -(-27 // halvings))
    assert model(torch.rand(5, 3, 22, 27)).shape == (5, 7)


def test_only_a_resnet_has_more_than_three_stages() -> None:
    with pytest.raises(ValidationError, match=r"stages \(4\) must be 2 or 3 without variant=resnet"):
        CnnConfig(stages=4)


def _answer_in_training(model: torch.nn.Module, images_BCHW: torch.Tensor) -> torch.Tensor:
    torch.manual_seed(1)  # dropout
    answer_BK: torch.Tensor = model.train()(images_BCHW)
    return answer_BK


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_mirrored_model_answers_the_same_for_a_mirror_image_and_trains_on_one(architecture: str) -> None:
    torch.manual_seed(0)
    plain, mirrored = (
        make_recipe(architecture, "smoke")
        .override([f"model.mirrored={word}"])
        .model.build(ImageForm(3, 22, 26), 7)
        for word in ("false", "true")
    )
    mirrored.get_submodule("network").load_state_dict(plain.state_dict())
    images_BCHW = torch.rand(5, 3, 22, 26)
    with torch.no_grad():
        mean_BK = (plain.eval()(images_BCHW) + plain(images_BCHW.flip(3))) / 2
        for answer_BK in (mirrored.eval()(images_BCHW), mirrored(images_BCHW.flip(3))):
            torch.testing.assert_close(answer_BK, mean_BK)
        seen_once = [_answer_in_training(model, images_BCHW) for model in (plain, mirrored)]
    torch.testing.assert_close(*seen_once)
    assert (
        measure_size(mirrored, ImageForm(3, 22, 26)).flops
        == 2 * measure_size(plain, ImageForm(3, 22, 26)).flops
    )


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_members_are_trained_as_if_alone_and_answer_together(architecture: str) -> None:
    torch.manual_seed(0)
    changes = ["model.members=3", *(["model.dropout=0"] if architecture == "cnn" else [])]
    model = make_recipe(architecture, "smoke").override(changes).model.build(ImageForm(3, 22, 26), 7)
    members = [model.get_submodule(f"networks.{number}") for number in range(3)]
    images_BCHW, labels_B = torch.rand(13, 3, 22, 26), torch.randint(0, 7, (13,))
    torch.nn.functional.cross_entropy(model(images_BCHW), labels_B, reduction="sum").div(13).backward()  # type: ignore[no-untyped-call]
    together = [_gradient(member) for member in members]
    for member, expected, part in zip(members, together, torch.arange(13).tensor_split(3), strict=True):
        member.zero_grad()
        torch.nn.functional.cross_entropy(member(images_BCHW[part]), labels_B[part]).backward()  # type: ignore[no-untyped-call]
        torch.testing.assert_close(expected * 13 / (3 * len(part)), _gradient(member), rtol=1e-4, atol=1e-6)
    with torch.no_grad():
        answers_MBK = torch.stack([member.eval()(images_BCHW) for member in members])
        torch.testing.assert_close(model.eval()(images_BCHW), answers_MBK.mean(0))
    assert answers_MBK.std(0).min() > 0
    assert model.train()(images_BCHW[:5]).shape == (5, 7)
    assert (
        measure_size(model, ImageForm(3, 22, 26)).flops
        == 3 * measure_size(members[0], ImageForm(3, 22, 26)).flops
    )


def _gradient(module: torch.nn.Module) -> torch.Tensor:
    return torch.cat(
        [parameter.grad.flatten() for parameter in module.parameters() if parameter.grad is not None]
    )
