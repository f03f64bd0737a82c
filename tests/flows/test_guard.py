"""C1: what the worker starts. Whatever else a deployment, a flow run or the pool says is refused before
anything runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun, WorkPool
from prefect.client.schemas.responses import DeploymentResponse
from prefect.workers.process import ProcessWorker

from flows.guard import why_refused
from flows.placement import from_anywhere
from flows.refresh import ENTRYPOINT
from modelyard.errors import ConfigError
from modelyard.files import sha256_of_file
from modelyard.home import Home
from modelyard.models import own_code
from modelyard.models.own_modules import ONLY_RECORDED, record
from modelyard.recipes.named import make_recipe
from modelyard.samples import ImageForm

HOME = Home(Path("/store"))
REQUEST = {"dataset": "digits"}
STEP = {"prefect.deployments.steps.run_shell_script": {"script": "id > /tmp/marker"}}


def told(run: dict[str, Any], deployment: dict[str, Any] | None, template: dict[str, Any]) -> str:
    """Of a schedule as `modelyard schedule add` of the former version made it, with these changes."""
    made = {
        "name": "x",
        "flow_id": uuid4(),
        "entrypoint": ENTRYPOINT,
        "job_variables": {"env": {"MODELYARD_HOME": "/store"}},
    }
    return why_refused(
        FlowRun(flow_id=uuid4(), **{"parameters": {"request": REQUEST}, **run}),
        None if deployment is None else DeploymentResponse(**{**made, **deployment}),
        WorkPool(name="modelyard", type="process", base_job_template=template, default_queue_id=uuid4()),
        HOME,
    )


def changed(variable: str, key: str, value: object) -> dict[str, Any]:
    template = ProcessWorker.get_default_base_job_template()
    template["variables"]["properties"][variable][key] = value
    return template


def test_what_schedule_add_wrote_starts() -> None:
    of_a_store = {"request": REQUEST, "store": {"id": "0" * 16, "host": "a"}}
    assert told({"parameters": of_a_store}, {}, {}) == ""
    paths = {"env": {"MODELYARD_DATA": "/data", "MODELYARD_CACHE": "/cache"}}
    assert told({}, {}, {}) == told({"job_variables": paths}, {"pull_steps": []}, {}) == ""
    assert (
        told({}, {}, ProcessWorker.get_default_base_job_template())
        == told({}, {}, changed("env", "title", "reworded"))
        == ""
    )


@pytest.mark.parametrize(
    ("where", "change", "expected"),
    [
        ("deployment", {"job_variables": {"command": "sh -c id"}}, "job variables besides env ({'command'})"),
        ("run", {"job_variables": {"command": "sh -c id"}}, "job variables besides env"),
        ("run", {"job_variables": {"working_dir": "/tmp"}}, "job variables besides env"),
        ("deployment", {"job_variables": {"env.LD_PRELOAD": "/x.so"}}, "job variables besides env"),
        ("deployment", {"job_variables": {"env": {"PYTHONPATH": "/x"}}}, "sets variables besides"),
        ("run", {"job_variables": {"env": {"LD_PRELOAD": "/x.so"}}}, "sets variables besides"),
        ("run", {"job_variables": {"env": {"PREFECT_API_URL": "http://evil"}}}, "sets variables besides"),
        ("run", {"job_variables": {"env": ["MODELYARD_HOME"]}}, "sets variables besides"),
        (
            "run",
            {"job_variables": {"env": {"MODELYARD_HOME": "/other"}}},
            "HOME is not this worker's store (['/other'])",
        ),
        (
            "run",
            {"job_variables": {"env": {"MODELYARD_DATA": "{{ prefect.blocks.secret.x }}"}}},
            "is not absolute",
        ),
        ("deployment", {"pull_steps": [STEP]}, "set `pull: []` in prefect.yaml and deploy it again"),
        ("deployment", {"entrypoint": "/tmp/evil.py:flow"}, f"its entry point is not {ENTRYPOINT}"),
        ("deployment", {"entrypoint": None}, "entry point"),
        ("deployment", {"path": "/tmp"}, "has a path"),
        ("deployment", {"storage_document_id": uuid4()}, "names a block"),
        ("deployment", {"infrastructure_document_id": uuid4()}, "names a block"),
        ("run", {"infrastructure_document_id": uuid4()}, "names a block"),
        ("run", {"parameters": {}}, "parameters"),
        (
            "run",
            {"parameters": {"request": REQUEST, "more": 1}},
            "parameters are not those of a schedule (more)",
        ),
        ("run", {"parameters": {"request": REQUEST | {"home": "/x"}}}, "parameters"),
        ("run", {"parameters": {"request": REQUEST, "store": {"__prefect_kind": "jinja"}}}, "parameters"),
        (
            "run",
            {"parameters": {"request": {"__prefect_kind": "jinja", "template": "{{ 1 }}"}}},
            "parameters",
        ),
        (
            "template",
            changed("command", "default", "sh -c id"),
            "job template of the pool modelyard was changed",
        ),
        ("template", changed("env", "default", {"LD_PRELOAD": "/x.so"}), "was changed"),
        ("template", {"job_configuration": {"command": "sh -c id"}, "variables": {}}, "was changed"),
        ("no deployment", {}, "it belongs to no schedule"),
    ],
)
def test_anything_else_is_refused(where: str, change: dict[str, Any], expected: str) -> None:
    parts: dict[str, Any] = {"run": {}, "deployment": {}, "template": {}} | {where: change}
    deployment = None if where == "no deployment" else parts["deployment"]
    assert expected in told(parts["run"], deployment, parts["template"])


def test_a_scheduled_module_is_one_that_was_recorded_and_not_edited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, net, other, ran = (
        Home(tmp_path / "runs"),
        tmp_path / "my net.py",
        tmp_path / "evil.py",
        tmp_path / "ran",
    )
    monkeypatch.setenv("MODELYARD_HOME", str(home.root))
    monkeypatch.setenv(ONLY_RECORDED, "1")
    content = (
        f"import pathlib\nfrom torch import nn\npathlib.Path({str(ran)!r}).touch()\nclass Net(nn.Module): ..."
    )
    for file in (net, other):
        file.write_text(content)

    def imported(*changes: str) -> None:
        own_code.load.cache_clear()
        make_recipe(f"{net}:Net", "smoke").override(changes).model.build(ImageForm(1, 28, 28), 10)

    def refused(why: str, *changes: str) -> None:
        with pytest.raises(ConfigError, match=why):
            imported(*changes)
        assert not ran.exists() or ran.read_text() == "", "nothing of it was executed"

    refused(r"not recorded on this machine.*modelyard schedule trust '.*my net\.py'")
    record(home, {str(net): sha256_of_file(net)})
    kept = home.state / "own-modules.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError, match="positional"):  # it is imported, and does not fit
        imported()
    assert ran.exists()
    other.write_text(content.replace("touch()", "write_text('evil')"))
    refused("evil", f"model.file={other}")
    assert ran.read_text() == ""
    net.write_text(content + "\n")
    refused("or edited since")
    record(home, {str(net): sha256_of_file(net)})
    kept.chmod(0o666)  # others could write it
    refused("not recorded")


def test_a_module_is_scheduled_by_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["cnn", "torchvision:resnet18"]
    assert [from_anywhere(text) for text in (*names, "own.py:Net")] == [*names, f"{tmp_path}/own.py:Net"]
