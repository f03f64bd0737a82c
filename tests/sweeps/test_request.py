"""What a sweep may be asked, and what is refused before anything starts."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from modelyard.errors import ConfigError
from modelyard.home import Home
from modelyard.recipes.named import named
from modelyard.recipes.words import Words
from modelyard.sweeps.request import (
    Range,
    SweepRequest,
    as_text,
    check,
    check_runner,
    claim_name,
    parse_range,
    parse_seeds,
)


def request(**changes: object) -> SweepRequest:
    return SweepRequest.model_validate(
        {"name": "mine", "dataset": "digits", "architectures": ["rnn"]} | changes
    )


@pytest.mark.parametrize("data", ["digits", "docstrings"])
def test_what_is_compared_of_the_data_is_swept_unless_it_is_named(data: str) -> None:
    names = request(dataset=data, architectures=()).with_names().architectures
    assert names == tuple(named(Words(dataset=data)))
    assert request(dataset="docstrings", architectures=["textcnn"]).with_names().architectures == ("textcnn",)


def test_seeds_are_listed_or_counted() -> None:
    assert parse_seeds("0-4,7, 2") == (0, 1, 2, 3, 4, 7)


@pytest.mark.parametrize("text", ["", "a", "3-1", "1,,2", "-1", "1.5"])
def test_wrong_seeds_are_refused(text: str) -> None:
    with pytest.raises(
        ConfigError, match="--seeds expects numbers or ranges such as 0,1,2 or 0-19, received"
    ):
        parse_seeds(text)


def test_ranges_are_bounds_or_choices() -> None:
    assert parse_range("model.hidden=32:128") == Range(key="model.hidden", low=32, high=128, whole=True)
    assert parse_range("a.b=1e-4:1e-2:log") == Range(key="a.b", low=1e-4, high=1e-2, log=True)
    assert parse_range("a.b=x|y") == Range(key="a.b", choices=("x", "y"))
    assert as_text(parse_range("model.hidden=32:128"), 64.0) == "model.hidden=64"
    assert as_text(parse_range("model.hidden=32|64"), "64") == "model.hidden=64"


@pytest.mark.parametrize(
    "text", ["a", "a=", "=1:2", "a=1", "a=x:y", "a=2:1", "a=0:1:log", "a=1:2:square", "a=1:inf"]
)
def test_wrong_ranges_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--range .*expects"):
        parse_range(text)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"trials": 3}, "--trials counts what a search tries: expected a --range with it"),
        ({"name": "My sweep"}, "--name 'My sweep': expected lower-case letters"),
        ({"architectures": ["rnm"]}, "unknown architecture 'rnm'"),
        ({"assignments": ["training.epoch=1"]}, "did you mean training.epochs"),
        ({"ranges": [{"key": "model.hiden", "low": 1, "high": 2}]}, "did you mean model.hidden"),
        (
            {"ranges": [{"key": "training.optimizer.learning_rate", "low": -1, "high": 2}]},
            "greater than 0; received -1",
        ),
        (
            {"ranges": [{"key": "training.optimizer.name", "choices": ["adamw", "adam"]}]},
            "training.optimizer.name",
        ),
    ],
)
def test_what_no_recipe_allows_is_refused(changes: dict[str, object], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        check(request(**changes))


def test_an_engine_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown runner 'spark': expected local, dask, ray"):
        check_runner("spark")
    with pytest.raises(
        ConfigError, match="--address tcp://far:8786 is a cluster's: expected --runner dask or ray with it"
    ):
        check_runner("local", "tcp://far:8786")


def test_a_cluster_that_does_not_answer_is_told_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as cluster:
        port = cluster.getsockname()[1]
        check_runner("dask", f"tcp://127.0.0.1:{port}")
        check_runner("dask", f"127.0.0.1:{port}")
    check_runner("dask", "auto")
    for address in (f"tcp://127.0.0.1:{port}", "tcp://127.0.0.1:port"):
        with pytest.raises(
            ConfigError, match=f"no cluster answers at --address {address}: .*; expected one such as"
        ):
            check_runner("dask", address)


def test_a_name_means_one_sweep(tmp_path: Path) -> None:
    home = Home(tmp_path)
    claim_name(request(), home)
    claim_name(request(), home)
    with pytest.raises(
        ConfigError, match="sweep 'mine' exists with another seeds, device; choose another --name"
    ):
        claim_name(request(seeds=[5], device="cpu"), home)
