"""An alert is recorded, delivered once to each webhook, and never in the way: against a real server that
misbehaves.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from modelyard.alerts import record as alerts
from modelyard.alerts.record import alert, read_record, waiting_files
from modelyard.alerts.webhooks import addresses, deliver, payload, shown
from modelyard.errors import ConfigError
from modelyard.home import Home
from tests.data.samples import modelyard

QUICK = (0.0, 0.05, 0.05, 0.05)
HANG = 0
"""The answer of a server that gives none."""


class Webhook:
    """A server on a free port that answers each path with a list of statuses, the last one for ever."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, dict[str, Any]]] = []
        """Path and payload of what was answered with 200."""
        self.asked: list[str] = []
        self.answers: dict[str, list[int]] = {}
        self.release = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def url(self, path: str, *answers: int) -> str:
        self.answers[path] = list(answers or (200,))
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def close(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(webhook) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the request's
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                webhook.asked.append(self.path)
                answers = webhook.answers[self.path]
                status = answers.pop(0) if len(answers) > 1 else answers[0]
                if status == HANG:
                    webhook.release.wait(20)
                    return
                if status == 200:
                    webhook.taken.append((self.path, body))
                self.send_response(status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self) -> None:
                raise AssertionError("a redirect was followed")

            def log_message(self, format: str, *args: object) -> None:
                return

        return Handler


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    served = Webhook()
    yield served
    served.close()


@pytest.fixture
def home(store: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Alerts of this process start no sender: the tests deliver themselves, but for those that say so."""
    monkeypatch.setattr(alerts, "send_in_background", lambda _home: None)
    return Home(store / "runs")


def name(monkeypatch: pytest.MonkeyPatch, *urls: str) -> None:
    monkeypatch.setenv("MODELYARD_WEBHOOK", ",".join(urls))


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_the_payload_is_slacks_and_ours(
    home: Home, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    name(monkeypatch, webhook.url("/hook"))
    alert(home, "drift", "mnist drifted", {"p": 0.001, "store": home.root})
    assert deliver(home).delivered == 1
    ((_, body),) = webhook.taken
    (entry,) = read_record(home)
    assert entry.pop("state") == "recorded"
    text = f"Modelyard on {body['host']}, drift: mnist drifted\np: 0.001\nstore: {home.root}"
    assert body == entry | {"text": text}
    assert waiting_files(home) == [] and deliver(home).delivered == 0


def test_l12_no_name_calls_a_channel_or_forges_a_line() -> None:
    entry = {
        "host": "h",
        "kind": "drift",
        "title": "<!channel> \x1b[31m",
        "facts": {"class": "<http://evil|a>\nforged: 1"},
    }
    told = (
        r"Modelyard on h, drift: &lt;!channel&gt; \x1b[31m"
        + "\n"
        + r"class: &lt;http://evil|a&gt;\nforged: 1"
    )
    assert payload(entry)["text"] == told


@pytest.mark.fault("a webhook answers 500 twice, then 200", how="a real local server")
@pytest.mark.parametrize("bad", [500, 404, 302])
def test_a_webhook_that_fails_twice_is_told_once(
    bad: int, home: Home, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    name(monkeypatch, webhook.url("/good"), webhook.url("/bad", bad, bad, 200))
    alert(home, "failure", "x", {})
    done = deliver(home, QUICK)
    assert (done.delivered, done.failures) == (2, {})
    assert sorted(path for path, _ in webhook.taken) == ["/bad", "/good"]
    assert webhook.asked.count("/good") == 1


@pytest.mark.fault("a webhook is down, or hangs", how="a closed port; a server that never answers")
@pytest.mark.parametrize("how", ["down", "hangs"])
def test_what_is_not_taken_waits_for_the_next_alert(
    how: str, home: Home, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    secret = f"http://127.0.0.1:{port}/down" if how == "down" else webhook.url("/hangs", HANG)
    name(monkeypatch, secret)
    alert(home, "crash", "first", {})
    done = deliver(home, QUICK[:2], answer_seconds=0.2)
    assert list(done.failures) == [f"webhook 1, {shown(secret)},"] and how not in str(done.failures)
    assert [entry["state"] for entry in read_record(home)] == ["waiting"]
    assert secret not in waiting_files(home)[0].read_text()
    name(monkeypatch, webhook.url("/moved"))
    alert(home, "crash", "second", {})
    assert deliver(home).delivered == 2
    assert [body["title"] for _, body in webhook.taken] == ["first", "second"]


def test_an_alert_never_raises_and_keeps_its_budget(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    home.root.parent.mkdir(exist_ok=True)
    home.root.write_text("a file where the store should be")
    alert(home, "failure", "no store", {"fact": object()})
    assert "could not be told" in caplog.text
    stuck = threading.Event()
    monkeypatch.setattr(alerts, "record", lambda *_: stuck.wait(10))
    monkeypatch.setattr(alerts, "BUDGET_SECONDS", 0.1)
    start = time.monotonic()
    alert(home, "failure", "a disk that hangs", {})
    assert time.monotonic() - start < 0.5
    stuck.set()


def test_alerts_of_one_moment_are_delivered_in_their_order(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    name(monkeypatch, "http://127.0.0.1:9/")
    made = [alerts.record(home, "failure", str(number), {})["id"] for number in range(50)]
    assert [path.stem.rpartition("-")[2] for path in waiting_files(home)] == made


@pytest.mark.fault("the sender of an alert is killed", how="SIGKILL between the request and its answer")
def test_a_killed_sender_loses_nothing(
    store: Path, webhook: Webhook, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Real senders: the first hangs and is killed, a second waits for its turn meanwhile, a third need not
    come.
    """
    home = Home(store / "runs")
    name(monkeypatch, webhook.url("/secret", HANG, 200))
    for title in ("first", "second"):
        alerts.record(home, "failure", title, {})
    command = [sys.executable, "-m", "modelyard.alerts.webhooks", str(home.root)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as first:
        wait_until(lambda: webhook.asked == ["/secret"])
        os.kill(first.pid, signal.SIGKILL)
    assert len(waiting_files(home)) == 2
    start = time.monotonic()
    alert(home, "failure", "third", {})
    assert time.monotonic() - start < 1
    wait_until(lambda: waiting_files(home) == [])
    assert [body["title"] for _, body in webhook.taken] == ["first", "second", "third"]
    assert len({body["id"] for _, body in webhook.taken}) == 3
    log = home.logs / "alerts-sender.log"
    wait_until(lambda: "delivered 3" in log.read_text())
    assert "secret" not in log.read_text() + capfd.readouterr().err


def test_wrong_addresses_are_refused_without_being_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        shown("https://user:word@hooks.example.org/services/T0/B0/secret?x=1")
        == "https://hooks.example.org/..."
    )
    for wrong in ("file:///etc/passwd", "hooks.example.org/secret", "http://", "https://host:port/secret"):
        name(monkeypatch, "https://hooks.example.org/a", wrong)
        with pytest.raises(
            ConfigError, match=r"expected http:// or https:// addresses.*number 2 is none"
        ) as refused:
            addresses()
        assert "secret" not in str(refused.value)


def test_a_torn_line_harms_no_other(home: Home) -> None:
    alert(home, "crash", "before", {})
    with (home.logs / "alerts.jsonl").open("a") as record:
        record.write('{"id": "torn')
    alert(home, "crash", "after", {})
    assert [entry["title"] for entry in read_record(home)] == ["before", "after"]


def test_the_command_line(
    home: Home, webhook: Webhook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert modelyard("alerts", "test") == 0
    assert "names no address, so nothing was posted" in capsys.readouterr().out
    name(monkeypatch, webhook.url("/hook", 500, 500, 200))
    assert modelyard("alerts", "test") == 1
    assert "/... did not take it: it answered 500" in capsys.readouterr().err.replace("...,", "...")
    assert modelyard("alerts", "list") == 0
    assert "waiting" in capsys.readouterr().out
    assert modelyard("alerts", "send") == 0
    assert "delivered: 1, waiting: 0" in capsys.readouterr().out
    assert modelyard("alerts", "list", "--json") == 0
    assert [entry["state"] for entry in json.loads(capsys.readouterr().out)] == ["recorded", "recorded"]
