"""Registered versions made by hand."""

from __future__ import annotations

from collections.abc import Mapping

from modelyard.home import Home
from modelyard.registry import aliases
from modelyard.registry import versions as registry
from modelyard.tracking import runs
from tests.bundles import CLASSES, HEIGHT, lit_bundle


def a_version(
    home: Home, key: str, *, fooled: bool, validation: float, digest: str, classes: tuple[str, ...] = CLASSES,
    height: int = HEIGHT, metrics: Mapping[str, float] | None = None, producer: str = "",
) -> registry.Version:  # fmt: skip
    measured = {"test/accuracy": validation} | dict(metrics or {})
    bundle = lit_bundle(
        home.steps / key, fooled=fooled, metrics=measured, data_digest=digest, classes=classes, height=height,
        producer=producer,
    )  # fmt: skip
    tags = {"modelyard.dataset": "lit", "modelyard.data_digest": digest, runs.STEPS_TAG: key}
    run_id = runs.start_run(home, key, name=key, params={}, tags=tags)
    model_id = registry.log_bundle(home, run_id, bundle)
    version_tags = {
        "label": "cnn", "data_digest": digest, "evaluation": "none",
        "validation_accuracy": repr(validation), "validation_nll": "0.1",
    }  # fmt: skip
    version = registry.register(home, run_id, bundle, model_id, version_tags)
    registry.publish(home, version, bundle)
    aliases.record(home, version)
    return version
