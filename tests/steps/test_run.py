"""When a step is done, what its key is made of, and what is asked of those before it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from modelyard.errors import ConfigError, ModelyardError, TrainingError
from modelyard.home import Home
from modelyard.machine.how import How
from modelyard.machine.identity import PARENT_VARIABLE, identity
from modelyard.recipes.named import make_recipe
from modelyard.seals import STEP_FILE, seal
from modelyard.steps import closure, step
from modelyard.steps.nodes import nodes, train_node
from modelyard.steps.requests import BuildRequest
from modelyard.steps.run import is_done, needed, seal_of, waiting
from modelyard.steps.step import Node, Step
from modelyard.steps.train import train_in_child
from modelyard.training.config import TrainingConfig
from modelyard.training.job import JOB_FILE, TrainJob
from modelyard.training.slices import TrainSlice


@pytest.fixture
def request_() -> BuildRequest:
    recipe = make_recipe("cnn", "smoke")
    digest = "0" * 64
    return BuildRequest(
        recipe=recipe, data_step="data-0", data_digest=digest, dataset="d", label="cnn", seed=0
    )


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def make(node: Node, home: Home, content: str = "made") -> None:
    """The folder of a step that was done; with other content it is another result of the same key."""
    folder = node.folder(home)
    folder.mkdir(parents=True)
    (folder / "content").write_text(content)
    if node.step.body:
        parents = {parent.name: seal_of(parent.folder(home)) for parent in node.parents}
        seal(folder, node.record() | {"parents": parents})


def names(found: list[Node]) -> list[str]:
    return [node.step.name for node in found]


def test_a_whole_bundle_asks_for_nothing_before_it(request_: BuildRequest, home: Home) -> None:
    asked = nodes(request_)
    assert names(needed(asked, home)) == ["data", "train", "evaluate", "export"]
    for node in asked:
        make(node, home)
    assert waiting(asked, home) == []
    for gone in asked[:-1]:
        shutil.rmtree(gone.folder(home))
    assert waiting(asked, home) == [] and names(needed(asked, home)) == ["export"]
    shutil.rmtree(asked[-1].folder(home))
    assert names(waiting(asked, home)) == ["train", "evaluate", "export"]


def test_a_step_beside_the_bundle_is_asked_for_and_what_it_needs(request_: BuildRequest, home: Home) -> None:
    data, train, _, export = asked = nodes(request_)
    beside = Step("beside", "beside", "modelyard.steps.evaluate").node(train.slice, (data, train))
    make(export, home)
    assert names(waiting([*asked, beside], home)) == ["train", "beside"]
    make(beside, home)
    assert waiting([*asked, beside], home) == []


def test_what_was_made_from_other_weights_of_the_same_key_is_done_again(
    request_: BuildRequest, home: Home
) -> None:
    _, train, evaluate, export = asked = nodes(request_)
    for node in asked:
        make(node, home)
    shutil.rmtree(train.folder(home))
    assert is_done(evaluate, home), "a parent that is gone undoes nothing"
    make(train, home, "of another number of cores")
    assert (not is_done(export, home) and not evaluate.folder(home).exists()) or not is_done(evaluate, home)
    assert names(waiting(asked, home)) == ["evaluate", "export"]


def test_a_folder_that_is_sealed_anew_is_done(request_: BuildRequest, home: Home) -> None:
    node = train_node(request_)
    make(node, home)
    (node.folder(home) / "content").write_text("other")
    seal(node.folder(home), node.record() | {"parents": {}})
    assert is_done(node, home)


@pytest.mark.parametrize("edit", ["removed", "altered", "added", "record"])
def test_an_altered_folder_is_not_done(edit: str, request_: BuildRequest, home: Home) -> None:
    node = train_node(request_)
    make(node, home)
    folder = node.folder(home)
    match edit:
        case "removed":
            (folder / "content").unlink()
        case "altered":
            (folder / "content").write_text("other")
        case "added":
            (folder / "more").write_text("")
        case _:
            (folder / STEP_FILE).unlink()
    assert not is_done(node, home) and not folder.exists()


@pytest.mark.parametrize(
    "record",
    [
        "",
        "[]",
        "null",
        "1",
        "[" * 10_000,
        '{"files": 1}',
        '{"files": FILES}',
        '{"files": FILES, "parents": [1]}',
    ],
)
def test_a_damaged_record_is_an_altered_folder(record: str, request_: BuildRequest, home: Home) -> None:
    node = train_node(request_)
    make(node, home)
    path = node.folder(home) / STEP_FILE
    path.write_text(record.replace("FILES", json.dumps(json.loads(path.read_text())["files"])))
    assert not is_done(node, home) and not path.parent.exists()


def test_a_folder_that_is_a_link_or_a_file_is_done_again(
    request_: BuildRequest, home: Home, tmp_path: Path
) -> None:
    node = train_node(request_)
    make(node, home)
    folder, elsewhere = node.folder(home), tmp_path / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    assert is_done(node, home)
    (elsewhere / "content").write_text("other")
    assert not is_done(node, home) and not folder.exists() and elsewhere.exists()
    folder.write_text("")
    assert not is_done(node, home) and not folder.exists()


@pytest.mark.parametrize(
    ("package", "version", "moved"),
    [
        ("torch", "9.1.0", ["train", "evaluate", "export"]),
        ("onnx", "9.1.0", ["export"]),
        ("onnxscript", "9.1.0", ["export"]),
        ("onnxruntime", "9.1.0", ["export"]),
        ("numpy", "9.1.0", []),
    ],
)
def test_the_versions_that_decide_are_in_the_key(
    package: str, version: str, moved: list[str], request_: BuildRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def installed(name: str, _other: str) -> str:
        return version if name == package else "1.0.0"

    monkeypatch.setattr(step, "_installed", lambda name, other: "1.0.0")
    before = nodes(request_)
    monkeypatch.setattr(step, "_installed", installed)
    assert [a.step.name for a, b in zip(before, nodes(request_), strict=True) if a.key != b.key] == moved


@pytest.mark.parametrize(("version", "counted"), [("2.15.1+cu132", "2.15"), ("2.15.0", "2.15")])
def test_a_patch_of_torch_or_its_build_repeats_no_training(
    version: str, counted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "_installed", lambda name, other: version)
    assert step.Package("torch", parts=2).counted == counted
    assert step.Package("torch").counted == version


class WiderTraining(TrainingConfig):
    """A later edition's."""

    sharpness: float | None = None


class WiderSlice(TrainSlice):
    """A later edition's."""

    training: WiderTraining
    other: TrainingConfig | None = None


def test_a_new_field_that_is_absent_moves_no_key_and_one_that_is_there_does(request_: BuildRequest) -> None:
    slice = train_node(request_).slice
    assert isinstance(slice, TrainSlice)
    fields = dict(slice) | {"training": WiderTraining(**dict(slice.training))}
    wider = WiderSlice(**fields)
    assert wider.made() == slice.made()
    assert wider.model_copy(update={"other": TrainingConfig()}).made() != slice.made()
    sharp = WiderTraining(sharpness=1.0, **dict(slice.training))
    assert wider.model_copy(update={"training": sharp}).made() != slice.made()


@pytest.mark.parametrize(
    ("change", "moves"),
    [
        ({"device": "cuda"}, False),
        ({"cores": 3}, False),
        ({"in_process": True}, False),
        ({"label": "other"}, False),
        ({"dataset_requested": "/elsewhere"}, False),
        ({"seed": 1}, True),
    ],
)
def test_how_is_in_no_key_and_the_seed_is(
    change: dict[str, object], moves: bool, request_: BuildRequest
) -> None:
    other = request_.model_copy(update=change)
    assert (train_node(other).key != train_node(request_).key) == moves


def test_a_process_whose_code_was_changed_refuses(
    request_: BuildRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes(request_)
    edited, read = closure.parse_module("x = 1"), closure.read_module
    monkeypatch.setattr(
        closure, "read_module", lambda name: edited if name == "modelyard.training.loop" else read(name)
    )
    with pytest.raises(ConfigError, match="modelyard was changed while this process ran: restart it"):
        nodes(request_)


def test_a_child_whose_code_is_another_refuses(request_: BuildRequest, tmp_path: Path) -> None:
    node = train_node(request_)
    assert isinstance(node.slice, TrainSlice)
    job = TrainJob.of(
        node.slice, {"data": tmp_path}, How(Home(tmp_path), device="cpu", code="of an older edition")
    )
    with pytest.raises(TrainingError, match=r"^modelyard was changed while this process ran: restart it$"):
        train_in_child(job, tmp_path, lambda report: None)
    same = job.model_copy(update={"code": node.code})
    with pytest.raises(ModelyardError, match="packed data set"):
        train_in_child(same, tmp_path, lambda report: None)


def test_a_child_whose_parent_is_gone_before_it_looks_does_nothing(
    request_: BuildRequest, tmp_path: Path
) -> None:
    node = train_node(request_)
    assert isinstance(node.slice, TrainSlice)
    process = subprocess.Popen([sys.executable, "-c", ""])
    dead = identity(process.pid)
    process.wait()
    (tmp_path / JOB_FILE).write_text(
        TrainJob.of(node.slice, {"data": tmp_path}, How(Home(tmp_path))).model_dump_json()
    )
    command = [sys.executable, "-P", "-m", "modelyard.steps.train", str(tmp_path)]
    done = subprocess.run(
        command, env=os.environ | {PARENT_VARIABLE: dead}, input=f"{tmp_path}\n".encode(),
        capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, b"")
