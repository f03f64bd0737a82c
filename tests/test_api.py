"""The Python interface: what `modelyard` offers to scripts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import assert_type

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import modelyard
from modelyard import Model, Prediction
from modelyard.bundle import read_bundle
from modelyard.errors import DataError, StoreError
from modelyard.evaluation.board import card_facts
from tests.bundles import HEIGHT as TALL
from tests.bundles import WIDTH as WIDE
from tests.bundles import lit_bundle
from tests.serving.bundles import IMAGE_SHAPE, Linear, images, release

HEIGHT, WIDTH, CHANNELS = IMAGE_SHAPE


@pytest.fixture
def model(store: Path) -> Model:
    release(store / "runs" / "releases", 3, Linear.seeded(1), "champion")
    return modelyard.load("fruit@champion")


def test_a_loaded_model_answers_as_its_weights_say(model: Model) -> None:
    pixels_NHWC = images(7, 5)
    found = model.predict(pixels_NHWC)
    assert_type(found, Prediction)
    assert_type(found.labels, list[str])
    assert_type(found.probabilities, NDArray[np.float32])
    np.testing.assert_allclose(found.probabilities, Linear.seeded(1).probabilities(pixels_NHWC), atol=1e-5)
    assert found.labels == [model.classes[index] for index in found.probabilities.argmax(1)]
    assert (len(found), model.name, modelyard.load().name) == (7, "fruit@3", "fruit@3")
    one = model.predict(pixels_NHWC[0])
    np.testing.assert_allclose(one.probabilities, found.probabilities[:1], atol=1e-5)
    assert len(model.predict(pixels_NHWC[:0])) == 0
    assert "nan" in card_facts(model.manifest)["latency"], "a bundle that others made may lack metrics"
    assert "fruit@3" in model._repr_html_() and found.labels[0] in found._repr_html_()


def test_files_pictures_and_arrays_get_the_same_answers(tmp_path: Path) -> None:
    model = Model(read_bundle(lit_bundle(tmp_path / "bundle", fooled=False, metrics={})))
    pixels_HW = np.random.default_rng(5).integers(0, 256, (TALL, WIDE), np.uint8)
    picture = Image.fromarray(pixels_HW)
    picture.save(tmp_path / "a.png")
    expected = model.predict(pixels_HW).probabilities
    np.testing.assert_array_equal(model.predict(pixels_HW[None, ..., None]).probabilities, expected)
    for asked in (str(tmp_path / "a.png"), tmp_path / "a.png", [tmp_path / "a.png"], [picture]):
        np.testing.assert_array_equal(model.predict(asked).probabilities, expected)


def test_what_is_no_image_is_refused_in_one_line(model: Model, tmp_path: Path) -> None:
    pixels_NHWC = images(2, 5)
    with pytest.raises(
        DataError, match=r"expected raw pixels, uint8 from 0 to 255, received float64; scaling is inside"
    ):
        model.predict(pixels_NHWC / 255)
    with pytest.raises(
        DataError,
        match=rf"expected images \[N, {HEIGHT}, {WIDTH}, {CHANNELS}\], received \[2, {HEIGHT - 1}, ",
    ):
        model.predict(pixels_NHWC[:, 1:])
    with pytest.raises(DataError, match="no such file"):
        model.predict(tmp_path / "nothing.png")
    with pytest.raises(StoreError, match="no release 'fruit@9'"):
        modelyard.load("fruit@9")
    with pytest.raises(AttributeError, match="no attribute 'predict_all'"):
        modelyard.predict_all  # noqa: B018


@pytest.mark.usefixtures("model")
def test_a_script_that_only_answers_imports_neither_torch_nor_the_stores(tmp_path: Path) -> None:
    code = (
        "import sys, modelyard; small = not {'numpy', 'onnxruntime'} & set(sys.modules); "
        "model = modelyard.load('fruit');"
        "import numpy; model.predict(numpy.zeros((1, *model.manifest.form.hwc), numpy.uint8));"
        "print(small, {'torch', 'mlflow', 'prefect', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True set()\n"
