"""The server follows the release folder: promotions, refusals, load and unload, in every worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import onnx
import pytest

from modelyard.bundle import GOLDEN_FILE, MANIFEST_FILE, MODEL_FILE, write_golden
from modelyard.samples import ImageForm
from modelyard.samples.signature import Signature
from tests.serving.bundles import CLASSES, IMAGE_SHAPE, Linear, images, point, release, reseal
from tests.serving.conftest import Serve, Server

INFER = "/v2/models/fruit/infer"


def question(seed: int = 0) -> dict[str, object]:
    data = images(1, seed).reshape(-1).tolist()
    return {"inputs": [{"name": "images", "datatype": "UINT8", "shape": [1, *IMAGE_SHAPE], "data": data}]}


def version_now(server: Server) -> str:
    return str(server.client.post(INFER, json=question()).json()["model_version"])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A release folder of its own with version 1 as champion and `cnn`."""
    release(tmp_path / "releases", 1, Linear.seeded(1), "champion", "cnn")
    return tmp_path / "releases"


def test_promotions_under_load_fail_no_request_and_mix_no_answer(home: Path, serve: Serve) -> None:
    right = {
        str(seed): Linear.seeded(seed).probabilities(images(1, seed=3)).reshape(-1) for seed in range(1, 9)
    }
    server = serve(home, "--workers", "2", "--poll-s", "0.05")
    stop, wrong, seen, count = threading.Event(), [], set(), [0] * 4

    def ask(index: int) -> None:
        with httpx.Client(base_url=server.url) as client:
            while not stop.is_set():
                answer = client.post(INFER, json=question(seed=3))
                version = answer.json().get("model_version")
                if answer.status_code != 200 or not np.allclose(
                    answer.json()["outputs"][1]["data"], right[version], atol=1e-5
                ):
                    wrong.append(answer.text)
                seen.add(version)
                count[index] += 1

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    server.wait_for(lambda: "1" in seen)
    for version in range(2, 9):
        release(home, version, Linear.seeded(version), "champion")
        server.wait_for(lambda version=version: str(version) in seen)  # type: ignore[misc]
    server.wait_for(lambda: all(version_now(server) == "8" for _ in range(4)))
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert seen == set(right)
    assert min(count) > 20


def corrupt(folder: Path) -> None:
    content = bytearray((folder / MODEL_FILE).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / MODEL_FILE).write_bytes(content)


def truncate(folder: Path) -> None:
    (folder / MODEL_FILE).write_bytes((folder / MODEL_FILE).read_bytes()[:-20])


def lose_manifest(folder: Path) -> None:
    (folder / MANIFEST_FILE).unlink()


def lose_golden(folder: Path) -> None:
    (folder / GOLDEN_FILE).unlink()


def odd_manifest(folder: Path) -> None:
    (folder / MANIFEST_FILE).write_text('{"schema_version": 1}')


def sealed_nonsense(folder: Path) -> None:
    (folder / MODEL_FILE).write_bytes(b"no graph")
    reseal(folder)


def other_shape(folder: Path) -> None:
    reseal(folder, signature=Signature.of_classifier(ImageForm(2, 5, 3), len(CLASSES)))


def other_classes(folder: Path) -> None:
    reseal(folder, classes=CLASSES[:2])


def other_name(folder: Path) -> None:
    reseal(folder, model_name="vegetable")


def other_input(folder: Path) -> None:
    onnx.save(Linear.seeded(2).graph(input="pictures"), folder / MODEL_FILE)
    reseal(folder)


def fixed_batch(folder: Path) -> None:
    onnx.save(Linear.seeded(2).graph(rows=1), folder / MODEL_FILE)
    reseal(folder)


def other_answers(folder: Path) -> None:
    write_golden(folder, "images", images(2), Linear.seeded(3).probabilities(images(2)))
    reseal(folder)


REASONS: dict[Callable[[Path], None], str] = {
    corrupt: "model.onnx does not match the manifest", truncate: "model.onnx does not match the manifest",
    lose_manifest: "not a whole bundle", lose_golden: "not a whole bundle", odd_manifest: "fields missing",
    sealed_nonsense: "onnxruntime cannot load", other_shape: "expected input 'images'",
    other_classes: "expected input 'images'", other_name: "holds the model 'vegetable'",
    other_input: "expected input 'images'", fixed_batch: "with only the batch axis free",
    other_answers: "does not give its golden answers",
}  # fmt: skip


@pytest.mark.fault(
    "a damaged version is promoted under load", how="corrupt, truncated, wrong digest or signature"
)
def test_a_bad_version_is_refused_aloud_and_the_old_one_goes_on(home: Path, serve: Serve) -> None:
    server = serve(home, "--workers", "1", "--poll-s", "0.02")
    for version, (harm, reason) in enumerate(REASONS.items(), start=2):
        harm(release(home, version, Linear.seeded(2)))
        point(home, "fruit", "champion", version)
        server.wait_for(
            lambda version=version: any(  # type: ignore[misc]
                e["version"] == str(version) for e in server.events("refused")
            )
        )
        refusal = server.events("refused")[-1]
        assert (refusal["model"], refusal["serving"]) == ("fruit", "1")
        assert reason in refusal["reason"], harm.__name__
        assert version_now(server) == "1"
        assert server.client.get("/v2/health/ready").status_code == 200
    time.sleep(0.2)
    assert len(server.events("refused")) == len(REASONS)  # once each: no retries as long as the alias stays
    rows = server.client.post("/v2/repository/index").json()
    last = next(row for row in rows if row["name"] == "fruit" and row["version"] == str(version))
    assert last["state"] == "UNAVAILABLE" and reason in last["reason"]
    release(home, 99, Linear.seeded(4), "champion")
    server.wait_for(lambda: version_now(server) == "99")


def test_a_name_without_any_good_version_makes_the_server_unready(home: Path, serve: Serve) -> None:
    corrupt(release(home, 2, Linear.seeded(2), "rnn"))
    server = serve(home, "--workers", "1", "--poll-s", "0.02")
    assert server.client.get("/v2/health/ready").status_code == 503
    assert server.client.get("/v2/models/fruit-rnn/ready").status_code == 404
    assert version_now(server) == "1"
    (home / "fruit" / "rnn.alias").unlink()
    server.wait_for(lambda: server.client.get("/v2/health/ready").status_code == 200)


def test_nothing_answers_in_the_place_of_a_damaged_champion(home: Path, serve: Serve) -> None:
    """13: though other aliases and another champion are served, until it is whole again."""
    release(home, 2, Linear.seeded(2), "cnn")
    release(home, 1, Linear.seeded(3), "champion", model="zebra")
    truncate(home / "fruit" / "1")
    server = serve(home, "--workers", "1", "--poll-s", "0.02")
    pixels = {"instances": images(1).tolist()}
    for method, path in (
        ("GET", "/ping"),
        ("GET", "/health"),
        ("GET", "/v2/health/ready"),
        ("POST", "/invocations"),
        ("POST", "/predict"),
    ):
        answer = server.client.request(method, path, json=pixels)
        assert answer.status_code == 503 and "does not match the manifest" in answer.json()["error"], path
    assert server.client.post("/invocations?model=zebra", json=pixels).status_code == 200
    assert server.client.get("/v2/health/live").status_code == 200
    release(home, 3, Linear.seeded(4), "champion")
    server.wait_for(lambda: server.client.get("/ping").status_code == 200)
    found = server.client.post("/invocations", json=pixels).json()["predictions"]["logits"]
    np.testing.assert_allclose(found, Linear.seeded(4).logits(images(1)), atol=1e-4)


def test_versions_asked_for_by_number_make_room_for_each_other(home: Path, serve: Serve) -> None:
    for version in range(2, 9):
        release(home, version, Linear.seeded(version))
    server = serve(home, "--workers", "1")
    for version in (*range(2, 9), 2):
        answer = server.client.post(f"/v2/models/fruit/versions/{version}/infer", json=question()).json()
        np.testing.assert_allclose(
            answer["outputs"][1]["data"],
            Linear.seeded(version).probabilities(images(1)).reshape(-1),
            atol=1e-5,
        )
    ready = server.client.post("/v2/repository/index", json={"ready": True}).json()
    assert {row["version"] for row in ready if row["name"] == "fruit"} == {"1", "6", "7", "8", "2"}


def test_a_server_with_nothing_to_serve_does_not_start(home: Path, serve: Serve) -> None:
    corrupt(home / "fruit" / "1")
    with pytest.raises(AssertionError, match=r"nothing to serve: .*does not match the manifest"):
        serve(home, "--workers", "2")
    with pytest.raises(AssertionError, match="no such alias of vegetable"):
        serve(home, "--model", "vegetable")


def test_load_and_unload_reach_every_worker_even_new_ones(home: Path, serve: Serve) -> None:
    server = serve(home, "--workers", "2", "--allow-load")
    assert server.client.post("/v2/repository/models/fruit-cnn/unload", json={}).status_code == 200
    for _ in range(6):  # a new connection each time, so both workers are asked
        assert httpx.get(f"{server.url}/v2/models/fruit-cnn/ready").status_code == 404
        assert httpx.get(f"{server.url}/v2/models/fruit/ready").status_code == 200
        assert httpx.get(f"{server.url}/v2/health/ready").status_code == 200
    index = server.client.post("/v2/repository/index", json={"ready": True}).json()
    assert {row["name"] for row in index} == {"fruit"}
    assert server.client.post("/v2/repository/models/fruit-cnn/load").status_code == 200
    assert all(httpx.get(f"{server.url}/v2/models/fruit-cnn/ready").status_code == 200 for _ in range(6))
    for path in ("nobody/load", "nobody/unload"):
        answer = server.client.post(f"/v2/repository/models/{path}")
        assert (answer.status_code, set(answer.json())) == (400, {"error"})


def test_aliases_come_and_go_and_share_their_session(home: Path, serve: Serve) -> None:
    server = serve(home, "--workers", "1", "--poll-s", "0.02")
    assert {card["name"] for card in server.client.get("/models").json()} == {"fruit", "fruit-cnn"}
    (home / "fruit" / "cnn.alias").unlink()
    release(home, 2, Linear.seeded(2), "rnn")
    server.wait_for(
        lambda: {card["name"] for card in server.client.get("/models").json()} == {"fruit", "fruit-rnn"}
    )
    card = next(card for card in server.client.get("/models").json() if card["name"] == "fruit-rnn")
    assert (card["version"], card["alias"], card["classes"], card["image_shape"]) == (
        "2",
        "rnn",
        list(CLASSES),
        list(IMAGE_SHAPE),
    )
    assert (card["metrics"], card["data_digest"], card["architecture"], card["ready"]) == (
        {"test/accuracy": 0.5}, "0123abcd", "cnn", True,
    )  # fmt: skip
