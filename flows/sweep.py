"""Flow `sweep`: many trainings beside each other, each a task; then what they came to."""

from __future__ import annotations

from typing import Any

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.futures import PrefectFuture

from flows import tasks
from flows.compare import prepared_builds
from flows.gathering import Results, gather
from modelyard.evaluation.board import board_markdown, table_rows
from modelyard.files import make_folder, write_json
from modelyard.home import Home
from modelyard.machine.leases import in_use
from modelyard.machine.store_mark import StoreMark, make_mark
from modelyard.recipes.request import CompareRequest
from modelyard.steps.requests import BuildRequest
from modelyard.sweeps import search, summary
from modelyard.sweeps.request import SweepRequest
from modelyard.sweeps.summary import TrialResult
from modelyard.sweeps.trial import search_one, train_one
from modelyard.tracking import runs


@task(task_run_name="train {build.label} seed {build.seed}")
def trial(build: BuildRequest, request: SweepRequest, store: StoreMark) -> Results:
    """One point of the grid."""
    store.require()
    return [summary.to_record(train_one(build, request.name, (), lambda epoch: None))]


@task(task_run_name="search {build.label} {number}")
def search_trial(build: BuildRequest, request: SweepRequest, store: StoreMark, number: int) -> Results:
    """One configuration that Optuna proposes, with every seed."""
    store.require()
    return [summary.to_record(result) for result in search_one(build, request, number)]


@flow(flow_run_name="sweep {request.name}")
def sweep(request: SweepRequest, cores: int) -> dict[str, Any]:
    """The summary's record; `cores` of the CPU for each training."""
    with in_use(Home.current()) as lease:  # its trainings are known one by one only
        builds = _builds(request, cores)
        store = make_mark(Home.current(), lease)
        futures = _search(request, builds, store) if request.ranges else _grid(request, builds, store)
        results = [result for found in gather(futures) for result in found]
        return _summarise(request, results, builds[0].data_digest)


def _builds(request: SweepRequest, cores: int) -> list[BuildRequest]:
    wanted = CompareRequest.of(request.words, request.recipes(), in_process=True)
    builds = [build.model_copy(update={"cores": cores}) for build in prepared_builds(wanted)]
    for build in builds:
        tasks.check_model(build)
    return builds


def _grid(
    request: SweepRequest, builds: list[BuildRequest], store: StoreMark
) -> dict[PrefectFuture[Results], TrialResult]:
    futures = {}
    for build in builds:
        for seed in request.seeds:
            point = build.model_copy(update={"seed": seed})
            futures[trial.submit(point, request, store)] = TrialResult(build.label, seed)
    return futures


def _search(
    request: SweepRequest, builds: list[BuildRequest], store: StoreMark
) -> dict[PrefectFuture[Results], TrialResult]:
    folder, futures = make_folder(Home.current().sweeps / request.name), {}
    for build in builds:
        study = search.open_study(folder, build.label, request.seeds[0])
        search.put_back_interrupted(study)
        for number in range(request.trials - search.num_missing(study, request), request.trials):
            futures[search_trial.submit(build, request, store, number)] = TrialResult(
                build.label, request.seeds[0]
            )
    return futures


def _summarise(request: SweepRequest, results: list[TrialResult], digest: str) -> dict[str, Any]:
    home = Home.current()
    folder = make_folder(home.sweeps / request.name)
    if request.ranges:
        results = summary.with_earlier(folder / "summary.json", results)
    record = {"name": request.name, "dataset": request.dataset} | summary.as_record(results)
    write_json(folder / "summary.json", record)
    if not record["configurations"]:
        return record
    summary.draw_parallel_coordinates(results, folder / "parallel_coordinates.png", f"sweep {request.name}")
    create_table_artifact(
        table_rows(record["configurations"]), key=f"sweep-{request.name}".replace("_", "-").replace(".", "-")
    )
    tags = {
        "modelyard.dataset": request.dataset,
        "modelyard.data_digest": digest,
        "sweep": request.name,
        "label": "sweep",
    }
    run_id = runs.start_run(
        home, f"sweep-{request.name}", name=f"sweep {request.name}", params=request.made_params(), tags=tags
    )
    runs.record_folder(home, run_id, folder, board_markdown(record["configurations"]))
    return record
