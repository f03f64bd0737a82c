"""A signature is written, read again, and nothing else is read."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from modelyard.samples import FORMS, ImageForm
from modelyard.samples.image_form import LARGEST
from modelyard.samples.signature import Signature

DRAW = np.random.default_rng(0)
FORMS_DRAWN = [ImageForm(*DRAW.integers(1, 200, 3).tolist()) for _ in range(20)]
VALUES: list[Any] = [
    None, True, False, 0, -1, 1.5, 2**70, float("1e300"), "", "image\n", "x" * 100_000, [], [[]], {},
    {"a": {}}, ["image"], "text",
]  # fmt: skip


def written(form: ImageForm, num_classes: int = 3) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(json.dumps(asdict(Signature.of_classifier(form, num_classes))))
    return told


@pytest.mark.parametrize("form", FORMS_DRAWN, ids=str)
def test_what_is_written_is_read_again(form: ImageForm) -> None:
    assert Signature.from_json(written(form), 3) == Signature.of_classifier(form, 3)


@pytest.mark.parametrize("form", FORMS_DRAWN, ids=str)
def test_both_ways_round_hold_the_same(form: ImageForm) -> None:
    assert ImageForm.from_hwc(form.hwc) == ImageForm(*form.chw) == ImageForm.from_json(asdict(form)) == form
    samples = DRAW.integers(0, 256, (2, *form.chw), np.uint8)
    raw = form.encoding.raw(samples)
    assert raw.shape[1:] == form.hwc == form.encoding.inputs[0].row_shape
    np.testing.assert_array_equal(np.moveaxis(raw, 3, 1), samples)
    (taken,) = form.network_inputs(2)
    assert (str(taken.dtype), taken.shape, form.blank(2).shape) == ("float32", samples.shape, samples.shape)


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Of all values in a tree of objects and lists, itself the first."""
    yield path
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in pairs:
        yield from places(value, (*path, key))


def changed(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    tree = copy.deepcopy(tree)
    at = tree
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return tree


def test_no_value_may_be_another_anywhere() -> None:
    told = written(ImageForm(1, 1, 1))  # ones: in Python they are equal to true and to 1.0
    for path in places(told):
        for value in [*VALUES, 1.0]:
            other = changed(told, path, value)
            if json.dumps(other) == json.dumps(told):
                continue
            with pytest.raises(ValueError, match=r"expected|signature") as error:
                Signature.from_json(other, 3)
            assert len(str(error.value)) < 250 and "\n" not in str(error.value), (path, value)


@pytest.mark.parametrize("name", written(ImageForm(1, 2, 3)))
def test_nothing_may_lack_or_be_too_much(name: str) -> None:
    told = written(ImageForm(1, 2, 3))
    for other in ({key: value for key, value in told.items() if key != name}, told | {f"{name}s": 1}):
        with pytest.raises(ValueError, match=r"expected|signature"):
            Signature.from_json(other, 3)


def test_what_is_nested_too_deep_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(sys.getrecursionlimit()):
        deep = [deep]
    with pytest.raises(ValueError, match="signature: nested too deep"):
        Signature.from_json(written(ImageForm(1, 2, 3)) | {"inputs": deep}, 3)


def test_it_fits_the_classes() -> None:
    with pytest.raises(ValueError, match="signature: fields missing, unknown or unfit: outputs"):
        Signature.from_json(written(ImageForm(1, 2, 3), 4), 3)


def test_an_image_is_bounded() -> None:
    assert ImageForm.from_hwc([LARGEST, 1, 1]).values == LARGEST
    with pytest.raises(ValueError, match=f"at most {LARGEST} values"):
        ImageForm.from_hwc([LARGEST, 2, 1])


def test_kinds_differ() -> None:
    forms = FORMS.values()
    assert len({form.kind for form in forms}) == len({form.names.input for form in forms}) == len(FORMS)
