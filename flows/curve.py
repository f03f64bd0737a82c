"""Flow `curve`: every way of learning, with few labels and with many; each training is a task."""

from __future__ import annotations

from typing import Any

from prefect import flow, task
from prefect.artifacts import create_table_artifact

from flows import tasks
from flows.compare import prepared_builds
from flows.gathering import Results, gather
from modelyard.data.packed import open_packed
from modelyard.data.splits import make_splits
from modelyard.evaluation.board import board_markdown, table_rows
from modelyard.files import make_folder, write_json
from modelyard.home import Home
from modelyard.machine.leases import in_use
from modelyard.machine.store_mark import StoreMark, make_mark
from modelyard.recipes.request import CompareRequest
from modelyard.steps.requests import BuildRequest
from modelyard.sweeps import summary
from modelyard.sweeps.curve import CurveRequest, Point, curve_rows, default_points, outlook
from modelyard.sweeps.curve_picture import draw_curve
from modelyard.sweeps.summary import TrialResult
from modelyard.sweeps.trial import evaluated, train_one
from modelyard.terminal.printable import in_markdown
from modelyard.tracking import runs


@task(task_run_name="{build.label} with {build.recipe.data.labels} labels, draw {build.seed}")
def trained_point(build: BuildRequest, name: str, store: StoreMark) -> Results:
    """One training and its evaluation."""
    store.require()
    labels = (f"data.labels={build.recipe.data.labels}",)
    return [summary.to_record(evaluated(train_one(build, name, labels, lambda epoch: None), build))]


@flow(flow_run_name="curve {request.name}")
def curve(request: CurveRequest, cores: int) -> dict[str, Any]:
    """Rows of the curve and its outlook; `cores` of the CPU for each training."""
    with in_use(Home.current()) as lease:
        builds, num_all = _builds(request, cores)
        store = make_mark(Home.current(), lease)
        futures = {
            trained_point.submit(build, request.name, store): TrialResult(
                point.way, point.draw, (f"data.labels={point.labels}",)
            )
            for point, build in builds.items()
        }
        found = {_point(result): result for results in gather(futures) for result in results}
        return _summarise(request, {point: found[point] for point in builds}, num_all, builds)


def _point(result: TrialResult) -> Point:
    return Point(result.label, int(result.assignments[0].partition("=")[2]), result.seed)


def _builds(request: CurveRequest, cores: int) -> tuple[dict[Point, BuildRequest], int]:
    """The trainings, and how many labels are all of them."""
    first = request.all_ways()[0]
    words = request.words(first, 0, 0)
    wanted = CompareRequest.of(words, {first: request.recipe(Point(first, 0, 0))}, in_process=True)
    (build,) = prepared_builds(wanted)
    dataset = open_packed(Home.current().steps / build.data_step, verify=False)
    num_all = len(make_splits(dataset, build.recipe.data).train)
    points = list(request.grid(request.points or default_points(len(dataset.classes), num_all)))
    named = {" ".join(map(str, point)): request.recipe(point) for point in points}
    made = prepared_builds(CompareRequest.of(words, named, in_process=True))
    builds = {
        point: one.model_copy(update={"cores": cores, "label": point.way, "seed": point.draw})
        for point, one in zip(points, made, strict=True)
    }
    for point, one in builds.items():
        if point.draw == 0:
            tasks.check_model(one)
    return builds, num_all


def _summarise(
    request: CurveRequest, results: dict[Point, TrialResult], num_all: int, builds: dict[Point, BuildRequest]
) -> dict[str, Any]:
    home = Home.current()
    folder, rows = make_folder(home.sweeps / request.name), curve_rows(results, num_all)
    record = {
        "name": request.name, "dataset": request.dataset, "architecture": request.architecture, "rows": rows,
        "outlook": outlook(rows), "trials": [summary.to_record(result) for result in results.values()],
    }  # fmt: skip
    write_json(folder / "summary.json", record)
    if not rows:
        return record
    draw_curve(rows, folder / "curve.png", f"{request.dataset}, {request.architecture}: labels and errors")
    key = f"curve-{request.name}".replace("_", "-").replace(".", "-")
    create_table_artifact(table_rows(rows), key=key, description=in_markdown(record["outlook"]))
    first = next(iter(builds.values()))
    tags = {
        "modelyard.dataset": first.dataset, "modelyard.data_digest": first.data_digest,
        "sweep": request.name, "label": "curve",
    }  # fmt: skip
    params = {name: str(value) for name, value in request.model_dump(exclude={"name"}).items() if value}
    run_id = runs.start_run(
        home, f"curve-{request.name}", name=f"curve {request.name}", params=params, tags=tags
    )
    note = f"{in_markdown(record['outlook'])}\n\n{board_markdown(rows)}"
    runs.record_folder(home, run_id, folder, note)
    return record
