"""The engines that run many trainings at once. Each is somebody's; none is ours."""

from __future__ import annotations

import signal
from importlib.util import find_spec
from typing import Any, Literal

from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner

from modelyard.errors import ConfigError

Runner = Literal["local", "dask", "ray"]
RUNNERS: tuple[Runner, ...] = ("local", "dask", "ray")


def make_runner(name: str, workers: int, address: str = "") -> TaskRunner[Any]:
    """`workers` processes here, or an existing cluster at `address`. Raises: ConfigError naming choices or the extra."""
    match name:
        case "local":
            from modelyard.sweeps.trial import prepare_worker

            return ProcessPoolTaskRunner(max_workers=workers, initializer=prepare_worker, initargs=(int(signal.SIGKILL),))
        case "dask":
            _need("prefect_dask", name)
            from prefect_dask.task_runners import DaskTaskRunner

            cluster = {"n_workers": workers, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
            return DaskTaskRunner(address=address) if address else DaskTaskRunner(cluster_kwargs=cluster)
        case "ray":
            _need("prefect_ray", name)
            from prefect_ray import RayTaskRunner

            options = {} if address else {"num_cpus": workers, "include_dashboard": False}
            runner: TaskRunner[Any] = RayTaskRunner(address=address or None, init_kwargs=options)
            return runner
    raise ConfigError(f"unknown runner {name!r}: expected {', '.join(RUNNERS)}")


def _need(package: str, extra: str) -> None:
    if find_spec(package) is None:
        raise ConfigError(f"--runner {extra} needs {package.replace('_', '-')}; install modelyard[{extra}]")
