"""Weights of others: what is read of files, which of them a network takes over, and what they say of it."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from modelyard.errors import ConfigError
from modelyard.models import CnnConfig, CustomConfig, TransformerConfig, brought, vit
from modelyard.models.brought import licence_of, read_tensors
from modelyard.models.matching import Match, matched
from modelyard.models.published import published
from modelyard.models.stated import Stated, by_folder, by_library
from modelyard.samples import ImageForm

COLOURED = ImageForm(3, 16, 24)
WEIGHTS = {"layer.weight": torch.arange(6.0).reshape(2, 3), "layer.bias": torch.zeros(2)}
Save = Callable[[dict[str, Tensor], Path], object]


class Code:
    """Executes something where it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return eval, ("1 / 0",)


def _in_checkpoint(weights: dict[str, Tensor], path: Path) -> None:
    torch.save({"epoch": 3, "arch": "resnet", "state_dict": weights}, path)


@pytest.mark.parametrize(("name", "save"), [
    ("w.safetensors", save_file), ("w.pth", torch.save), ("w.pt", _in_checkpoint), ("w.bin", torch.save),
    ("folder/model.safetensors", save_file), ("folder/pytorch_model.bin", torch.save),
])  # fmt: skip
def test_tensors_are_read_from_files_and_folders(tmp_path: Path, name: str, save: Save) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    save(WEIGHTS, path)
    found = read_tensors(path.parent if "/" in name else path)
    assert found.keys() == WEIGHTS.keys()
    assert all(torch.equal(found[key], value) for key, value in WEIGHTS.items())


def _half(path: Path) -> None:
    torch.save(WEIGHTS, path)
    path.write_bytes(path.read_bytes()[:-200])


def _half_of_tensors(path: Path) -> None:
    save_file(WEIGHTS, path)
    path.write_bytes(path.read_bytes()[:-5])


def _huge_header(path: Path) -> None:
    path.write_bytes((2**62).to_bytes(8, "little") + b"{}")


def _bomb(path: Path) -> None:
    torch.save(WEIGHTS, path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w/data/9", bytes(2**21))


def _unfolding(path: Path) -> None:
    torch.save({"layer.weight": torch.zeros(1).expand(2**40)}, path)


@pytest.mark.parametrize(("name", "write", "told"), [
    ("w.pth", lambda path: torch.save({"a": Code()}, path), "more than tensors in it"),
    ("w.pt", lambda path: path.write_bytes(pickle.dumps(Code())), "more than tensors in it"),
    ("w.pth", _half, "no whole file of weights"),
    ("w.safetensors", _half_of_tensors, "no whole file of weights"),
    ("w.safetensors", _huge_header, "no whole file of weights"),
    ("w.pth", lambda path: path.write_bytes(b""), "no whole file of weights"),
    ("w.pth", _bomb, "expected weights of at most 0.0 GB"),
    ("w.pth", _unfolding, "expected weights of at most 0.0 GB"),
    ("w.pth", lambda path: torch.save([1, 2], path), "names with their tensors"),
    ("w.pth", lambda path: torch.save({"a": 1}, path), "plain tensors"),
    ("w.pth", lambda path: torch.save({"a": torch.eye(3).to_sparse()}, path), "plain tensors"),
    ("w.onnx", lambda path: path.write_bytes(b"x"), "expected a .safetensors, .pth"),
    ("folder", lambda path: path.mkdir(), "expected model.safetensors or pytorch_model.bin"),
    ("w.pth", lambda path: None, "No such file"),
])  # fmt: skip
def test_what_is_no_file_of_weights_is_refused_in_a_line(
    tmp_path: Path, name: str, write: Callable[[Path], object], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brought, "MOST_BYTES", 2**21)
    write(tmp_path / name)
    with pytest.raises(ConfigError, match=told) as refused:
        read_tensors(tmp_path / name)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 1000
    assert "weights_only" not in str(refused.value)  # torch advises to run what is in a pickle


def test_the_licence_beside_them_is_found(tmp_path: Path) -> None:
    assert licence_of(tmp_path).name == ""
    (tmp_path / "config.json").write_text('{"license": "mit"}')
    assert licence_of(tmp_path / "w.pth").name == "mit"
    (tmp_path / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\n# Model\n")
    (tmp_path / "LICENSE.txt").write_text("Apache License")
    found = licence_of(tmp_path)
    assert (found.name, found.file, found.sha256[:4]) == ("apache-2.0", "LICENSE.txt", "b142")


def _match(brought_weights: dict[str, Tensor], *, with_head: bool = False) -> Match:
    own = CnnConfig().build(COLOURED, 3).state_dict()
    return matched(own, {"head.weight", "head.bias"}, brought_weights, with_head=with_head)


def _cnn(num_classes: int = 3) -> dict[str, Tensor]:
    return CnnConfig().build(COLOURED, num_classes).state_dict()


@pytest.mark.parametrize("start", ["", "module.", "model."])
def test_what_all_names_begin_with_says_nothing(start: str) -> None:
    given = {f"{start}{name}": value for name, value in _cnn(9).items()}
    match = _match(given)
    assert match.share == 1 and not match.missing
    assert match.left_over == (f"{start}head.weight", f"{start}head.bias")
    assert all(torch.equal(value, given[f"{start}{name}"]) for name, value in match.tensors.items())


def test_the_head_is_taken_over_where_it_is_asked_for() -> None:
    assert "head.weight" not in _match(_cnn()).tensors
    assert "head.weight" in _match(_cnn(), with_head=True).tensors


def test_a_mirrored_network_takes_the_weights_of_one() -> None:
    network = CnnConfig(mirrored=True, mean=(0.5,) * 3, std=(0.2,) * 3).build(COLOURED, 3)
    match = matched(network.state_dict(), set(), _cnn(), with_head=False)
    network.load_state_dict(match.tensors)
    assert match.share == 1


def test_weights_of_another_network_are_refused() -> None:
    others = TransformerConfig().build(COLOURED, 3).state_dict()
    with pytest.raises(
        ConfigError, match="expected at least 90% of the network's numbers below its head: 0 ten"
    ):
        _match(others)
    with pytest.raises(
        ConfigError, match=r"expected \[24, 3, 5, 5\], received \[32, 3, 5, 5\].*another size"
    ):
        _match(CnnConfig(width=32).build(COLOURED, 3).state_dict())
    broken = _cnn()
    broken["head.weight"].fill_(float("nan"))
    assert _match(broken).share == 1
    with pytest.raises(ConfigError, match=r"head.weight: expected finite numbers"):
        _match(broken, with_head=True)


def test_a_few_missing_tensors_are_told_and_stay() -> None:
    given = {name: value for name, value in _cnn().items() if "bias" not in name}
    match = _match(given)
    assert 0.9 < match.share < 1 and match.missing
    assert match.record()["missing"] == len(match.missing)


def test_normalisation_is_a_part_of_the_network() -> None:
    images = torch.rand(2, 3, 16, 24)
    plain = CnnConfig().build(COLOURED, 3).eval()
    config = CnnConfig(mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    network = config.build(COLOURED, 3).eval()
    matched_all = matched(network.state_dict(), set(), plain.state_dict(), with_head=True)
    network.load_state_dict(matched_all.tensors)
    mean, std = torch.tensor(config.mean)[:, None, None], torch.tensor(config.std)[:, None, None]
    assert torch.equal(network(images), plain((images - mean) / std))


def test_grey_samples_become_as_many_channels_as_a_librarys_network_was_normalised_by() -> None:
    config = CustomConfig.parse("torchvision:squeezenet1_1").model_copy(
        update={"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.2, 0.2)}
    )
    assert config.build(ImageForm(1, 32, 32), 4)(torch.rand(2, 1, 32, 32)).shape == (2, 4)


@pytest.mark.parametrize(("given", "told"), [
    ({"mean": (0.5,)}, "numbers each"), ({"std": (0.5,)}, "numbers each"),
    ({"mean": "none", "std": (0.5,)}, "numbers each"), ({"mean": (), "std": ()}, "numbers each"),
    ({"mean": (0.5,), "std": (0.1, 0.2)}, "numbers each"), ({"mean": (0.5,), "std": (0.0,)}, "greater"),
])  # fmt: skip
def test_a_half_normalisation_is_refused(given: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        CnnConfig.model_validate(given)


def test_a_normalisation_of_other_channels_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model\.mean: expected 3 numbers for these samples, received 2"):
        CnnConfig(mean=(0.5, 0.5), std=(0.5, 0.5)).build(COLOURED, 3)


def test_libraries_tell_what_their_weights_were_given() -> None:
    stated = by_library("torchvision", "vit_b_16", Path("vit_b_16_swag-9ac1b537.pth"))
    assert stated is not None and stated.size == (384, 384) and stated.interpolation == "bicubic"
    stated = by_library("torchvision", "resnet18", Path("mine.pth"))
    assert stated == Stated(
        (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), (224, 224), interpolation="bilinear"
    )
    stated = by_library("timm", "vit_tiny_patch16_224", Path("mine.pth"))
    assert stated is not None and stated.mean == (0.5, 0.5, 0.5) and stated.size == (224, 224)


@pytest.mark.parametrize(("told", "expected"), [
    ({"image_mean": [0.5] * 3, "image_std": [0.25] * 3, "size": {"height": 32, "width": 48}, "resample": 3},
     Stated((0.5,) * 3, (0.25,) * 3, (32, 48), interpolation="bicubic")),
    ({"image_mean": [0.5] * 3, "image_std": [0.25] * 3, "size": 32, "do_center_crop": True, "crop_size": 28},
     Stated((0.5,) * 3, (0.25,) * 3, (28, 28), interpolation="bilinear")),
    ({"do_normalize": False, "size": {"shortest_edge": 32}},
     Stated(None, None, (32, 32), interpolation="bilinear")),
    ({"image_mean": [51.0] * 3, "image_std": [127.5] * 3, "do_rescale": False, "size": 32},
     Stated((0.2,) * 3, (0.5,) * 3, (32, 32), interpolation="bilinear")),
])  # fmt: skip
def test_a_folder_tells_what_its_weights_were_given(
    tmp_path: Path, told: dict[str, object], expected: Stated
) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(told))
    assert by_folder(tmp_path) == expected


ZERO = '{"image_mean": [0.5], "image_std": [0.5], "rescale_factor": 0}'
HUGE = f'{{"image_mean": [1{"0" * 400}], "image_std": [0.5]}}'


@pytest.mark.parametrize(
    "told", ['{"size": {}}', '{"image_mean": 1}', "{", "[]", '{"size": [1, 2, 3]}', ZERO, HUGE]
)
def test_a_configuration_without_sense_is_refused_in_a_line(tmp_path: Path, told: str) -> None:
    (tmp_path / "preprocessor_config.json").write_text(told)
    with pytest.raises(ConfigError, match=r"preprocessor_config\.json: (expected|cannot be read)"):
        by_folder(tmp_path)


CONFIG = {
    "model_type": "vit", "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3,
    "intermediate_size": 24, "patch_size": 8, "image_size": 16, "layer_norm_eps": 1e-3, "hidden_act": "gelu",
}  # fmt: skip


def hugging_face_vit(num_classes: int = 5) -> dict[str, Tensor]:
    """Random weights by the names of `ViTForImageClassification`."""
    draw = torch.Generator().manual_seed(0)
    width, inner = 12, 24
    shapes: dict[str, tuple[int, ...]] = {
        "vit.embeddings.cls_token": (1, 1, width), "vit.embeddings.position_embeddings": (1, 5, width),
        "vit.embeddings.patch_embeddings.projection": (width, 3, 8, 8), "vit.layernorm": (width,),
        "classifier": (num_classes, width),
    }  # fmt: skip
    for layer in range(2):
        start = f"vit.encoder.layer.{layer}."
        shapes |= {f"{start}attention.attention.{part}": (width, width) for part in ("query", "key", "value")}
        shapes |= {
            f"{start}attention.output.dense": (width, width), f"{start}intermediate.dense": (inner, width),
            f"{start}output.dense": (width, inner), f"{start}layernorm_before": (width,),
            f"{start}layernorm_after": (width,),
        }  # fmt: skip
    tensors: dict[str, Tensor] = {}
    for name, shape in shapes.items():
        if name.endswith(("token", "position_embeddings")):
            tensors[name] = torch.randn(shape, generator=draw)
        else:
            tensors[f"{name}.weight"] = torch.randn(shape, generator=draw) / 3 + len(shape) % 2
            tensors[f"{name}.bias"] = torch.randn(shape[:1], generator=draw) / 3
    return tensors


def _as_hugging_face_computes(tensors: dict[str, Tensor], images_BCHW: Tensor) -> Tensor:
    """Logits of `ViTForImageClassification`, layer by layer."""

    def linear(name: str, values: Tensor) -> Tensor:
        return functional.linear(values, tensors[f"{name}.weight"], tensors[f"{name}.bias"])

    def norm(name: str, values: Tensor) -> Tensor:
        weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
        return functional.layer_norm(values, (12,), weight, bias, 1e-3)

    patches = "vit.embeddings.patch_embeddings.projection."
    tokens = functional.conv2d(images_BCHW, tensors[f"{patches}weight"], tensors[f"{patches}bias"], 8)
    tokens = tokens.flatten(2).transpose(1, 2)
    first = tensors["vit.embeddings.cls_token"].expand(len(tokens), -1, -1)
    tokens = torch.cat([first, tokens], 1) + tensors["vit.embeddings.position_embeddings"]
    for layer in range(2):
        start = f"vit.encoder.layer.{layer}."
        seen = norm(f"{start}layernorm_before", tokens)
        query, key, value = (
            linear(f"{start}attention.attention.{part}", seen).reshape(len(seen), -1, 3, 4).transpose(1, 2)
            for part in ("query", "key", "value")
        )
        mixed = (query @ key.transpose(2, 3) / 2).softmax(3) @ value
        tokens = tokens + linear(f"{start}attention.output.dense", mixed.transpose(1, 2).flatten(2))
        inner = functional.gelu(linear(f"{start}intermediate.dense", norm(f"{start}layernorm_after", tokens)))
        tokens = tokens + linear(f"{start}output.dense", inner)
    return linear("classifier", norm("vit.layernorm", tokens)[:, 0])


def _ours(words: list[str], num_classes: int = 5) -> nn.Module:
    config = TransformerConfig().override(
        [word.removeprefix("model.") for word in words if word.startswith("model.")]
    )
    return config.build(ImageForm(3, 16, 16), num_classes).eval()


def test_a_vit_of_hugging_faces_is_ours_by_other_names(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    found = published(tmp_path)
    assert found is not None and found.name == "vit"
    tensors, network = hugging_face_vit(), _ours(found.words(tmp_path))
    match = matched(network.state_dict(), set(), vit.renamed(tensors), with_head=True)
    assert not match.missing and not match.left_over
    network.load_state_dict(match.tensors)
    images = torch.rand(3, 3, 16, 16)
    torch.testing.assert_close(network(images), _as_hugging_face_computes(tensors, images))


@pytest.mark.parametrize(("name", "value", "told"), [
    ("hidden_act", "relu", "hidden_act: expected gelu"), ("num_channels", 4, "num_channels: expected 3"),
    ("hidden_size", "12", "hidden_size: expected a number"), ("intermediate_size", 25, "a multiple of 12"),
    ("num_hidden_layers", 10**9, "num_hidden_layers: expected a number"), ("patch_size", None, "patch_size"),
])  # fmt: skip
def test_a_vit_that_ours_is_not_is_refused(name: str, value: object, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        vit.words(CONFIG | {name: value})


def test_a_configuration_that_contradicts_the_tensors_is_refused() -> None:
    network = _ours(vit.words(CONFIG | {"intermediate_size": 48}))
    with pytest.raises(
        ConfigError, match=r"blocks\.0\.mlp\.0\.weight: expected \[48, 12\], received \[24, 12\]"
    ):
        matched(network.state_dict(), set(), vit.renamed(hugging_face_vit()), with_head=False)
    network = _ours(vit.words(CONFIG | {"num_hidden_layers": 3}))
    with pytest.raises(ConfigError, match="expected at least 90%"):
        matched(network.state_dict(), set(), vit.renamed(hugging_face_vit()), with_head=False)
