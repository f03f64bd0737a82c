"""docs/consumers.md: its code gets from the ONNX file, and from MLflow, what `modelyard predict` answers."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import mlflow
import mlflow.onnx
import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image, ImageOps

from modelyard.bundle import Bundle, as_json, read_bundle
from modelyard.home import Home
from modelyard.inference.session import classify, open_session
from modelyard.registry import versions as registry
from modelyard.registry.descriptions import version_description
from modelyard.samples import ImageForm
from modelyard.samples.image import picture_pixels
from modelyard.samples.reading import FITS, Reading
from modelyard.tracking.store import open_store
from tests.blank import Templates
from tests.bundles import lit_dataset
from tests.registry.versions import a_version
from tests.serving.bundles import CLASSES, Linear
from tests.serving.conftest import running

PAGE = (Path(__file__).parents[1] / "docs" / "consumers.md").read_text()
SHORT, PIXELS, MLFLOW, MLFLOW_OF_TEXTS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
NAMES = {
    "json": json,
    "np": np,
    "onnxruntime": onnxruntime,
    "mlflow": mlflow,
    "Image": Image,
    "ImageOps": ImageOps,
}
"""What a reader of the page imports."""


def test_five_lines_are_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    linear = Linear.seeded(3, (7, 5, 3))
    graph, contract = linear.graph(), as_json(ImageForm(3, 7, 5).contract(Reading()))
    onnx.helper.set_model_props(graph, {"pixel_contract": contract, "classes": as_json(CLASSES)})
    onnx.save(graph, tmp_path / "model.onnx")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (31, 22, 3), np.uint8)).save(
        tmp_path / "seven.png"
    )
    monkeypatch.chdir(tmp_path)
    exec(SHORT, dict(NAMES))
    (right_K,) = classify(
        open_session(tmp_path / "model.onnx"), picture_pixels("seven.png", ImageForm(3, 7, 5))[None]
    )
    assert capsys.readouterr().out == f"{CLASSES[right_K.argmax()]}\n"
    assert SHORT.count("\n") == 5


@pytest.mark.parametrize(("fit", "mode", "channels"), product(FITS, ["L", "LA", "RGB", "RGBA", "P"], [1, 3]))
def test_the_pixels_are_those_of_the_command_line(fit: str, mode: str, channels: int) -> None:
    known = dict(NAMES)
    exec(PIXELS, known)
    for height, width in ((31, 22), (9, 40), (12, 9), (42, 28), (1, 84)):
        reading = Reading(fit, ground=(10, 200, 30)[:channels])  # type: ignore[arg-type]
        values = np.random.default_rng(0).integers(0, 256, (height, width, 4), np.uint8)
        picture = Image.fromarray(values).convert(mode)
        expected_HWC = picture_pixels(picture, ImageForm(channels, 12, 9), reading)
        found = known["pixels"](picture, json.loads(as_json(ImageForm(channels, 12, 9).contract(reading))))
        np.testing.assert_array_equal(found, expected_HWC[None])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, templates: Templates) -> Home:
    home = templates.store(tmp_path_factory.mktemp("store"))
    open_store(home)[0].create_registered_model("lit", description="Ours, say others.")
    a_version(home, "one", fooled=False, validation=0.75, digest=lit_dataset().digest)
    return home


@pytest.fixture(scope="module")
def logged(home: Home) -> tuple[Path, Bundle]:
    """The artifacts of a version, and its bundle."""
    client, _ = open_store(home)
    source = str(client.get_model_version("lit", "1").source)
    return Path(client.get_logged_model(source.removeprefix("models:/")).artifact_location), read_bundle(
        home.steps / "one"
    )


def test_mlflow_loads_it_as_it_says(logged: tuple[Path, Bundle]) -> None:
    folder, bundle = logged
    known: dict[str, Any] = dict(NAMES)
    exec(MLFLOW.replace("models:/digits@champion", str(folder)), known)
    images_BHWC, probabilities_BK = bundle.samples()
    np.testing.assert_array_equal(known["model"].input_example["images"], images_BHWC[:1])
    np.testing.assert_allclose(known["probabilities"], probabilities_BK[:1], atol=1e-6)
    assert known["classes"] == list(bundle.manifest.classes)
    assert known["how"] == json.loads(as_json(bundle.manifest.contract()))
    assert mlflow.onnx.load_model(str(folder)).SerializeToString() == bundle.model
    names = [line.partition("==")[0] for line in (folder / "requirements.txt").read_text().split()]
    assert sorted(names) == ["mlflow", "numpy", "onnx", "onnxruntime"]


def test_our_server_answers_mlflows_example(logged: tuple[Path, Bundle], home: Home, tmp_path: Path) -> None:
    folder, bundle = logged
    (home.releases / "lit" / "champion.alias").write_text("1\n")
    with running(home.releases, tmp_path / "log", "--workers", "1") as server:
        body = (folder / "serving_input_example.json").read_bytes()
        answer: httpx.Response = server.client.post(
            "/invocations", content=body, headers={"Content-Type": "application/json"}
        )
    np.testing.assert_allclose(
        answer.json()["predictions"]["probabilities"], bundle.samples()[1][:1], atol=1e-6
    )


def test_a_version_says_what_it_is_and_what_people_wrote_stays(home: Home) -> None:
    client, _ = open_store(home)
    version = client.get_model_version("lit", "1")
    for told in (
        "| classes | a, b, c, d, e |",
        "uint8 from 0 to 255, [N, 3, 5, 1] (NHWC)",
        "modelyard models show lit@",
        "75.00 %",
    ):
        assert told in str(version.description)
    assert json.loads(version.tags["pixel_contract"])["layout"] == "NHWC"
    assert client.get_registered_model("lit").description == "Ours, say others."
    a_version(home, "two", fooled=True, validation=0.7, digest="0" * 64, classes=tuple("abcde"))
    assert client.get_registered_model("lit").description == "Ours, say others."


def test_large_images_and_long_names_are_bounded(
    monkeypatch: pytest.MonkeyPatch, home: Home, logged: tuple[Path, Bundle]
) -> None:
    wordy = replace(logged[1].manifest, classes=tuple(f"{n}{'|' * 250}" for n in range(30)))
    told = version_description(wordy)
    assert 100 < len(told) <= 5000 and told.splitlines()[-1].endswith("|")
    monkeypatch.setattr(registry, "MOST_EXAMPLE_VALUES", 14)
    version = a_version(home, "three", fooled=False, validation=0.75, digest="1" * 64)
    client, _ = open_store(home)
    source = str(client.get_model_version("lit", str(version.number)).source).removeprefix("models:/")
    assert not list(Path(client.get_logged_model(source).artifact_location).glob("*example*"))
