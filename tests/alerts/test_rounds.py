"""Sending what waits, in rounds: to webhooks that are down, slow or wrong, and after a sender was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from modelyard.alerts import record as alerts
from modelyard.alerts import webhooks
from modelyard.alerts.record import alert, read_record, send_regularly, waiting_files, waiting_folder
from modelyard.alerts.webhooks import deliver
from modelyard.errors import StoreError
from modelyard.home import Home
from tests.alerts.webhook import ENDLESS, HANG, QUICK, Webhook, closed_port, name, wait_until


@pytest.mark.fault(
    "a webhook is down for long, then slow, then answers 500", how="a real local server on a closed port"
)
def test_rounds_lose_nothing_and_tell_once(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Rounds as `modelyard up` makes them, quickly, over what the webhook does one after another."""
    port, rounds, served = closed_port(), list[str](), list[Webhook]()
    name(monkeypatch, f"http://127.0.0.1:{port}/secret")
    monkeypatch.setattr(webhooks, "ANSWER_SECONDS", 0.2)

    def one_round(store: Home) -> None:
        if len(rounds) == 3:
            assert [entry["state"] for entry in read_record(store)] == ["waiting"] * 2
            served.append(Webhook(port))
            served[0].url("/secret", HANG, HANG, HANG, 500, 500, 500, 302, 200)
        if not waiting_files(store):
            raise SystemExit
        rounds.append(str(deliver(store, QUICK.new(total=1)).failures))

    for title in ("first", "second"):
        alert(home, "failure", title, {})
    monkeypatch.setattr(alerts, "send_in_background", one_round)
    with pytest.raises(SystemExit):
        send_regularly(home, 0.01)
    served[0].close()
    assert [body["title"] for _, body in served[0].taken] == ["first", "second"]
    told = "".join(rounds)
    assert all(how in told for how in ("ConnectError", "ReadTimeout", "answered 500"))
    assert "secret" not in told + caplog.text


def test_a_round_that_fails_does_not_end_the_rounds(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rounds = iter([OSError("no space left"), SystemExit()])

    def one_round(_store: Home) -> None:
        raise next(rounds)

    monkeypatch.setattr(alerts, "send_in_background", one_round)
    with pytest.raises(SystemExit):
        send_regularly(home, 0)
    assert "no space left" in caplog.text


def test_the_worker_of_up_sends_what_waits(
    store: Path, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real worker, and at once: also while Prefect's server does not answer."""
    home = Home(store / "runs")
    name(monkeypatch, webhook.url("/hook"))
    alerts.record(home, "failure", "from last night", {})
    environment = os.environ | {
        "MODELYARD_HOME": str(home.root),
        "PREFECT_API_URL": f"http://127.0.0.1:{closed_port()}/api",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "flows.worker"], env=environment, stderr=subprocess.DEVNULL
    ) as worker:
        wait_until(lambda: waiting_files(home) == [], 30)
        worker.kill()
    assert [body["title"] for _, body in webhook.taken] == ["from last night"]


def test_what_comes_while_a_sender_is_at_work_goes_along(
    home: Home, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own sender finds the lock taken and leaves; the one at work looks again before it ends."""
    name(monkeypatch, webhook.url("/hook"))

    def another() -> None:
        if len(webhook.asked) == 1:
            alert(home, "failure", "second", {})

    webhook.on_request = another
    alert(home, "failure", "first", {})
    assert deliver(home).delivered == 2
    assert [body["title"] for _, body in webhook.taken] == ["first", "second"]
    alert(home, "failure", "third", {})
    with (
        FileLock(waiting_folder(home) / ".sending.lock"),
        pytest.raises(StoreError, match="another process is sending alerts"),
    ):
        deliver(home)
    assert len(waiting_files(home)) == 1


def test_an_answer_without_end_holds_up_nobody(
    home: Home, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    name(monkeypatch, webhook.url("/endless", ENDLESS), webhook.url("/good"))
    alert(home, "failure", "x", {})
    start = time.monotonic()
    done = deliver(home, QUICK)
    assert (done.delivered, list(done.failures.values())) == (1, ["it answered 507"])
    assert webhook.asked.count("/endless") == 1 + 3 and time.monotonic() - start < 5


def test_a_damaged_file_holds_up_nobody(
    home: Home, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    name(monkeypatch, webhook.url("/hook"))
    for title in ("first", "second"):
        alert(home, "failure", title, {})
    waiting_files(home)[0].write_text('{"id": "torn')
    assert deliver(home).delivered == 1 and waiting_files(home) == []
    assert [entry["title"] for entry in read_record(home)] == ["first", "second"]


@pytest.mark.fault("the sender of an alert is killed", how="SIGKILL between the request and its answer")
def test_a_killed_sender_loses_nothing(
    store: Path, webhook: Webhook, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Real senders: the first hangs and is killed; the next alert's sends what waits."""
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
