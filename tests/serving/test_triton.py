"""What Triton would read is what the releases hold."""

from __future__ import annotations

import importlib.util
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from modelyard.bundle import MODEL_FILE
from modelyard.cli import app as cli
from modelyard.errors import StoreError
from modelyard.serving.triton import export_repository
from tests.serving.bundles import CLASSES, IMAGE_SHAPE, Linear, point, release, reseal
from tests.serving.text_bundles import Counts, release_texts


@pytest.fixture
def releases(tmp_path: Path) -> Path:
    folder = tmp_path / "releases"
    release(folder, 3, Linear.seeded(3), "champion", "cnn", model="pets")
    release(folder, 4, Linear.seeded(4), "rnn", model="pets")
    return folder


@pytest.fixture(scope="module")
def model_config() -> Any:
    """Triton's own message, loaded past the package's __init__, which wants grpcio."""
    package = importlib.util.find_spec("tritonclient")
    assert package is not None and package.submodule_search_locations
    path = Path(package.submodule_search_locations[0]) / "grpc" / "model_config_pb2.py"
    spec = importlib.util.spec_from_file_location("model_config_pb2", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its generated code is one major version older than protobuf
        spec.loader.exec_module(module)
    return module


def read_config(model_config: Any, folder: Path) -> Any:
    from google.protobuf import text_format

    return text_format.Parse((folder / "config.pbtxt").read_text(), model_config.ModelConfig())


def test_every_alias_is_a_triton_model(releases: Path, tmp_path: Path, model_config: Any) -> None:
    target = tmp_path / "repository"
    exported = export_repository(releases, target)
    assert [(one.name, one.version) for one in exported] == [
        ("pets", "3"),
        ("pets-cnn", "3"),
        ("pets-rnn", "4"),
    ]
    for one in exported:
        folder = target / one.name
        config = read_config(model_config, folder)
        assert config.name == folder.name
        assert config.platform == "onnxruntime_onnx"
        assert list(config.version_policy.specific.versions) == [int(one.version)]
        assert [child.name for child in folder.iterdir() if child.is_dir()] == [one.version]
        model = folder / one.version / config.default_model_filename
        assert model.read_bytes() == (releases / "pets" / one.version / MODEL_FILE).read_bytes()


def test_tensors_are_those_of_the_graph(releases: Path, tmp_path: Path, model_config: Any) -> None:
    export_repository(releases, tmp_path / "repository")
    config = read_config(model_config, tmp_path / "repository" / "pets")
    assert config.max_batch_size == 64
    assert config.HasField("dynamic_batching")
    (images,) = config.input
    assert (images.name, images.data_type, list(images.dims)) == (
        "images",
        model_config.TYPE_UINT8,
        list(IMAGE_SHAPE),
    )
    assert images.format == model_config.ModelInput.FORMAT_NHWC
    outputs = {tensor.name: tensor for tensor in config.output}
    assert {name: list(tensor.dims) for name, tensor in outputs.items()} == {
        "logits": [len(CLASSES)],
        "probabilities": [len(CLASSES)],
    }
    assert {tensor.data_type for tensor in config.output} == {model_config.TYPE_FP32}
    labels = tmp_path / "repository" / "pets" / outputs["probabilities"].label_filename
    assert tuple(labels.read_text().splitlines()) == CLASSES


def test_strings_and_bytes_of_any_length_are_told(tmp_path: Path, model_config: Any) -> None:
    """TYPE_STRING of dims [1] is [batch, 1]; a free length is -1."""
    release_texts(tmp_path / "releases", 1, Counts(), "champion")
    release_texts(tmp_path / "releases", 2, Counts(), "transformer", encoding="bytes")
    release_texts(tmp_path / "releases", 3, Counts(), "bert", encoding="ids")
    export_repository(tmp_path / "releases", tmp_path / "repository")
    for name, input_name, data_type, dims in (
        ("letters", "texts", model_config.TYPE_STRING, [1]),
        ("letters-transformer", "bytes", model_config.TYPE_UINT8, [-1]),
        ("letters-bert", "ids", model_config.TYPE_INT64, [-1]),
    ):
        config = read_config(model_config, tmp_path / "repository" / name)
        (taken,) = config.input
        assert (taken.name, taken.data_type, list(taken.dims)) == (input_name, data_type, dims)
        assert taken.format == model_config.ModelInput.FORMAT_NONE and config.HasField("dynamic_batching")
        assert config.parameters["reading"].string_value == '{"unicode":"NFC"}'
        assert (tmp_path / "repository" / name / "tokenizer.json").exists() == (input_name == "ids")


def test_each_label_is_one_line_and_otherwise_as_it_is(releases: Path, tmp_path: Path) -> None:
    names = ("a  cat", "two\nlines", *CLASSES[2:])
    reseal(releases / "pets" / "3", classes=names)
    export_repository(releases, tmp_path / "repository")
    told = (tmp_path / "repository" / "pets" / "labels.txt").read_text().splitlines()
    assert told == ["a  cat", r"two\nlines", *CLASSES[2:]]


def test_a_promotion_replaces_one_version_and_leaves_the_rest_alone(
    releases: Path, tmp_path: Path, model_config: Any
) -> None:
    target = tmp_path / "repository"
    export_repository(releases, target)
    before = {path: path.stat().st_mtime_ns for path in (target / "pets-cnn").rglob("*") if path.is_file()}
    point(releases, "pets", "champion", 4)
    (releases / "pets" / "rnn.alias").unlink()
    export_repository(releases, target)
    assert sorted(path.name for path in target.iterdir()) == ["modelyard.json", "pets", "pets-cnn"]
    assert sorted(path.name for path in (target / "pets").iterdir()) == ["4", "config.pbtxt", "labels.txt"]
    assert list(read_config(model_config, target / "pets").version_policy.specific.versions) == [4]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert json.loads((target / "modelyard.json").read_text()) == {"models": {"pets": 4, "pets-cnn": 3}}
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_the_same_number_from_another_store_is_replaced(releases: Path, tmp_path: Path) -> None:
    export_repository(releases, tmp_path / "repository")
    other = tmp_path / "other"
    release(other, 3, Linear.seeded(9), "champion", model="pets")
    export_repository(other, tmp_path / "repository")
    exported = tmp_path / "repository" / "pets" / "3" / MODEL_FILE
    assert exported.read_bytes() == (other / "pets" / "3" / MODEL_FILE).read_bytes()


def test_a_foreign_folder_is_refused_untouched(releases: Path, tmp_path: Path) -> None:
    target = tmp_path / "photos"
    target.mkdir()
    (target / "cat.png").write_text("mine")
    with pytest.raises(
        StoreError, match="photos is not empty and was not exported by modelyard; choose another folder"
    ):
        export_repository(releases, target)
    assert [path.name for path in target.iterdir()] == ["cat.png"]


def test_an_altered_release_leaves_nothing_behind(
    releases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (releases / "pets" / "4" / MODEL_FILE).write_bytes(b"other")
    monkeypatch.setenv("MODELYARD_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["modelyard", "repository", "export", str(tmp_path / "repository")])
    with pytest.raises(SystemExit, match="2"):
        cli.main()
    assert not list(tmp_path.glob("*repository*"))  # nor a hidden scratch folder
