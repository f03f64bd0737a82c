"""Prefect task runners for many trainings at once: processes, Dask or Ray."""

from __future__ import annotations

import signal
from typing import Any

from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner


def make_runner(name: str, workers: int, address: str = "") -> TaskRunner[Any]:
    """`workers` processes here, or an existing cluster at `address`."""
    match name:
        case "local":
            from modelyard.sweeps.trial import prepare_worker

            return ProcessPoolTaskRunner(
                max_workers=workers, initializer=prepare_worker, initargs=(int(signal.SIGKILL),)
            )
        case "dask":
            from prefect_dask.task_runners import DaskTaskRunner

            cluster = {
                "n_workers": workers,
                "threads_per_worker": 1,
                "processes": True,
                "dashboard_address": None,
            }
            return DaskTaskRunner(address=address) if address else DaskTaskRunner(cluster_kwargs=cluster)
        case _:
            from prefect_ray import RayTaskRunner

            options = {} if address else {"num_cpus": workers, "include_dashboard": False}
            quiet = {"log_to_driver": False}  # how each training ended is told in a line of ours
            runner: TaskRunner[Any] = RayTaskRunner(address=address or None, init_kwargs=options | quiet)
            return runner
