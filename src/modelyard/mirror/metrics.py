"""The metrics of one run brought to a server, with the logged models that they are bound to."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mlflow.entities import LoggedModel, Metric, Run
from mlflow.tracking import MlflowClient

from modelyard.mirror.remote import Link, asking

METRICS_AT_ONCE = 1000
"""Limit of MLflow's server."""


@dataclass(frozen=True, slots=True)
class ModelCopy:
    """A logged model here and its copy there."""

    here: LoggedModel
    there: LoggedModel


Point = tuple[str, int, int, str]


def point(metric: Metric) -> Point:
    """What makes a metric's value the same one; text, as NaN is not equal to itself."""
    value = float(metric.value)
    return (
        str(metric.key),
        int(metric.step),
        int(metric.timestamp),
        "nan" if math.isnan(value) else repr(value),
    )


def history(client: MlflowClient, run: Run) -> list[Metric]:
    """Every value of every metric."""
    return [metric for key in run.data.metrics for metric in client.get_metric_history(run.info.run_id, key)]


def send_metrics(ends: Link, run: Run, there: Run, models: list[ModelCopy]) -> None:
    """The values that the run, or the model they are bound to, lacks there."""
    wanted = history(ends.local, run)
    with asking(ends.remote):
        known = {point(metric) for metric in history(ends.client, there)}
        bound = {
            _moment(metric): BoundMetric(metric, str(copy.there.model_id))
            for copy in models
            for metric in copy.here.metrics or ()
        }
        arrived = {_moment(metric) for copy in models for metric in copy.there.metrics or ()}
        missing = [
            _bound(metric, bound.get(_moment(metric)), there.info.run_id)
            for metric in wanted
            if point(metric) not in known or (_moment(metric) in bound and _moment(metric) not in arrived)
        ]
        for start in range(0, len(missing), METRICS_AT_ONCE):
            ends.client.log_batch(there.info.run_id, metrics=missing[start : start + METRICS_AT_ONCE])


def _moment(metric: Metric) -> tuple[str, int, int]:
    """A point without its value: MLflow keeps a model's NaN as 0."""
    return point(metric)[:3]


@dataclass(frozen=True, slots=True)
class BoundMetric:
    """A metric that belongs to a logged model, and the id of that model's copy."""

    here: Metric
    model_there: str


def _bound(metric: Metric, binding: BoundMetric | None, run_id: str) -> Metric:
    if binding is None:
        return Metric(metric.key, metric.value, metric.timestamp, metric.step)
    return Metric(
        metric.key, metric.value, metric.timestamp, metric.step, model_id=binding.model_there, run_id=run_id,
        dataset_name=binding.here.dataset_name, dataset_digest=binding.here.dataset_digest,
    )  # fmt: skip
