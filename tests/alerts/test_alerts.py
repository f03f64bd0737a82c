"""An alert is recorded, delivered once to each webhook, and never in the way: against a real server that
misbehaves.
"""

from __future__ import annotations

import json
import threading
import time

import pytest

from modelyard.alerts import record as alerts
from modelyard.alerts import webhooks
from modelyard.alerts.record import alert, read_record, waiting_files
from modelyard.alerts.webhooks import addresses, deliver, payload, shown
from modelyard.errors import ConfigError
from modelyard.home import Home
from tests.alerts.webhook import HANG, QUICK, Webhook, closed_port, name
from tests.data.samples import modelyard


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
    secret = f"http://127.0.0.1:{closed_port()}/down" if how == "down" else webhook.url("/hangs", HANG)
    name(monkeypatch, secret)
    alert(home, "crash", "first", {})
    monkeypatch.setattr(webhooks, "ANSWER_SECONDS", 0.2)
    done = deliver(home, QUICK.new(total=1))
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
    assert "could not be recorded or sent" in caplog.text
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
