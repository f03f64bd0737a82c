"""Gates are values of the recipe that no step depends on."""

from __future__ import annotations

import pytest

from modelyard.errors import ConfigError
from modelyard.recipes.named import make_recipe
from modelyard.steps.nodes import nodes, train_node
from modelyard.steps.requests import BuildRequest


def request(*assignments: str) -> BuildRequest:
    recipe = make_recipe("cnn", "smoke").override(assignments)
    return BuildRequest(
        recipe=recipe, data_step="data-0", data_digest="0", dataset="lit", label="cnn", seed=0
    )


def test_another_gate_trains_and_exports_nothing_anew() -> None:
    plain, strict = request(), request("gates.max_latency_ms_p99=0.5", "gates.per_class=false")
    assert strict.recipe.gates.max_latency_ms_p99 == 0.5
    assert nodes(plain) == nodes(strict)
    assert train_node(plain).key != train_node(request("training.epochs=3")).key
    assert "gates" not in plain.recipe.made()


def test_gates_are_set_and_refused_as_all_of_the_recipe() -> None:
    assert plain_keys() >= {"gates.parity", "gates.max_megabytes", "gates.significance"}
    with pytest.raises(
        ConfigError, match=r"unknown recipe key 'gates.max_latency': did you mean gates.max_latency_ms_p"
    ):
        request("gates.max_latency=1")
    with pytest.raises(ConfigError, match=r"gates.significance: Input should be less than 1; received 5"):
        request("gates.significance=5")


def plain_keys() -> set[str]:
    return set(make_recipe("cnn", "smoke").flatten())
