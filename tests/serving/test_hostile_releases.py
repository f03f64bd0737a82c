"""One bad release never stops the others: M4, M4b, M5, M6, M7, L17 and L18 of the security review."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import onnx
import psutil
import pytest
from onnx import TensorProto, helper

from modelyard.bundle import GOLDEN_FILE, MODEL_FILE, read_bundle
from modelyard.errors import BundleError, StoreError
from modelyard.home import Home
from modelyard.inference.files import released_folder
from modelyard.inference.session import open_session
from modelyard.releases import ledger_writer
from modelyard.releases.folders import read_release
from modelyard.releases.ledger import LEDGER_FILE, REGISTER
from modelyard.serving.models.trials import Trials
from modelyard.serving.triton import export_repository
from tests.serving.bundles import CLASSES, PIXELS, Linear, point, release, reseal
from tests.serving.conftest import Server, running
from tests.serving.hostile_bundles import UNFIT, loop

QUICK = {name: harm for name, harm in UNFIT.items() if name != "loop"}
ALIASES = {
    "pipe": "not a regular file",
    "long": "names no version ('111",
    "words": "names no version ('../../x')",
}


def register(folder: Path) -> Path:
    """Enter a release into its model's ledger."""
    entry = {"action": REGISTER, "version": int(folder.name), "files": read_bundle(folder).digests}
    ledger_writer.append(folder.parent, [entry])
    return folder


def exchange(folder: Path) -> None:
    """M5: another model and its golden answers under digests that fit."""
    other = release(folder.parent.parent / "elsewhere", 1, Linear.seeded(7), model=folder.parent.name)
    for name in (MODEL_FILE, GOLDEN_FILE):
        (other / name).replace(folder / name)
    reseal(folder)


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All kinds of bad releases between two good ones."""
    folder = tmp_path_factory.mktemp("hostile") / "releases"
    for name, (harm, _) in QUICK.items():
        harm(release(folder, 1, Linear.seeded(1), "champion", model=name))
    for name in ("a-good", "zz-good"):
        register(release(folder, 1, Linear.seeded(1), "champion", model=name))
    os.mkfifo(folder / "a-good" / "pipe.alias")
    (folder / "a-good" / "long.alias").write_text("1" * 5000)
    (folder / "a-good" / "words.alias").write_text("../../x")
    (folder / "a-good" / "no utf-8 \udcff.alias").write_text("1")
    release(folder, 1, Linear.seeded(1), "champion", model="unknown")
    exchange(register(release(folder, 1, Linear.seeded(1), "champion", model="exchanged")))
    register(release(folder, 1, Linear.seeded(1), "champion", model="rewritten"))
    path = folder / "rewritten" / LEDGER_FILE
    path.write_bytes(path.read_bytes().replace(b'"version": 1', b'"version": 2'))
    return folder


@pytest.fixture(scope="module")
def server(releases: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("server") / "log"
    with running(
        releases, log, "--workers", "1", "--poll-s", "0.05", "--load-timeout-s", "60", "--allow-load"
    ) as ready:
        yield ready


def test_the_good_are_served_and_each_bad_one_is_refused_once_with_its_reason(
    server: Server, releases: Path
) -> None:
    assert {card["name"] for card in server.client.get("/models").json()} == {"a-good", "zz-good", "unknown"}
    reasons = {event["model"]: event["reason"] for event in server.events("refused")}
    for name, (_, reason) in QUICK.items():
        assert reason in reasons[name], name
    for name, reason in ALIASES.items():
        assert reason in reasons[f"a-good-{name}"], name
    assert (
        f"{releases}/exchanged/1 is not what was registered (golden.npz, manifest.json, model.onnx)"
        in reasons["exchanged"]
    )
    assert "ledger.jsonl: line 1 was edited" in reasons["rewritten"]
    assert [event["model"] for event in server.events("unrecorded")] == ["unknown"]
    assert max(map(len, reasons.values())) <= 1000


def test_a_release_that_never_ends_holds_up_no_promotion(server: Server, releases: Path) -> None:
    loop(release(releases, 1, Linear.seeded(1), model="loop"))
    point(releases, "loop", "champion", 1)
    server.wait_for(
        lambda: "loop" in {row["name"] for row in server.client.post("/v2/repository/index").json()}
    )
    release(releases, 2, Linear.seeded(2), "champion", model="zz-good")
    server.wait_for(lambda: server.client.get("/models").json()[-1]["version"] == "2", 50)
    assert "is being loaded" in server.client.get("/v2/models/loop").text
    refused = Counter(event["model"] for event in server.events("refused"))
    assert set(refused.values()) == {1} and "loop" not in refused
    assert server.events("fault") == []


def test_clients_are_told_names_and_no_paths(server: Server, releases: Path) -> None:
    index = server.client.post("/v2/repository/index").raise_for_status().text
    answers = [
        server.client.get(f"/v2/models/{name}").text
        for name in (*QUICK, "exchanged", "rewritten", "a-good-pipe")
    ]
    answers.append(server.client.post("/v2/repository/models/fifo/load").text)
    assert "fifo/1 is not a whole bundle (OSError: not a regular file)" in answers[-1]
    assert not [answer for answer in (index, *answers) if str(releases.parent) in answer]


def test_a_trial_ends_in_time(tmp_path: Path) -> None:
    folder = release(tmp_path, 1, Linear.seeded(1), model="loop")
    loop(folder)
    trials = Trials(0.5, 1024)
    with pytest.raises(BundleError, match=r"loop/1 did not answer its golden samples within 0\.5 s"):
        asyncio.run(trials.attempt(folder))
    trials.close()


def test_trials_end_with_the_server(tmp_path: Path) -> None:
    loop(folder := release(tmp_path, 1, Linear.seeded(1), model="loop"))
    before = set(psutil.Process().children(recursive=True))
    trials = Trials(600, 1024)

    async def give_up() -> set[psutil.Process]:
        trial = asyncio.create_task(trials.attempt(folder))
        started: set[psutil.Process] = set()
        while len(started) < 2:
            await asyncio.sleep(0.05)
            started = set(psutil.Process().children(recursive=True)) - before
        trials.close()
        with pytest.raises(BundleError):
            await trial
        return started

    started = asyncio.run(give_up())
    assert psutil.wait_procs(started, timeout=20)[1] == []


@pytest.mark.parametrize("location", ["w.bin", "../here/w.bin", "/dev/zero"])
def test_no_tensor_is_read_from_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    """M6: neither beside the model nor in the working folder, where onnxruntime looks for those of a model in
    memory.
    """
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    Path("w.bin").write_bytes(bytes(4 * PIXELS * len(CLASSES)))
    outside = onnx.TensorProto(
        data_type=TensorProto.FLOAT, dims=[PIXELS, len(CLASSES)], data_location=TensorProto.EXTERNAL
    )
    outside.external_data.add(key="location", value=location)
    nodes = [
        helper.make_node("Constant", [], ["more"], value=outside),
        helper.make_node("MatMul", ["pixels", "more"], ["none"]),
        helper.make_node("Add", ["raw", "none"], ["logits"]),
    ]
    onnx.save(Linear.seeded(1).graph(nodes), "model.onnx")
    for model in (Path("model.onnx"), Path("model.onnx").read_bytes()):
        with pytest.raises(BundleError, match=r"onnxruntime cannot load .*External data path"):
            open_session(model)


@pytest.mark.parametrize("name", ["exchanged", "gigabytes"])
def test_what_the_server_refuses_is_exported_to_no_other(releases: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "releases").mkdir()
    (tmp_path / "releases" / name).symlink_to(releases / name)
    with pytest.raises(BundleError):
        export_repository(tmp_path / "releases", tmp_path / "repository")
    assert not (tmp_path / "repository").exists()


@pytest.mark.parametrize(
    "name", ["../evil@1", "..@1", ".a@1", "a/b@1", "a\\b@1", "a\x1b@1", "fruit@../../evil", "fruit@."]
)
def test_a_model_is_named_by_one_part_of_a_path(tmp_path: Path, name: str) -> None:
    """L21."""
    release(tmp_path / "evil", 1, Linear.seeded(1))
    release(tmp_path / "releases", 1, Linear.seeded(1))
    with pytest.raises(StoreError):
        released_folder(Home(tmp_path), name)


def test_what_is_opened_by_hand_is_compared_too(releases: Path) -> None:
    with pytest.raises(BundleError, match="is not what was registered"):
        read_release(releases / "exchanged" / "1")
