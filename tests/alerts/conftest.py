"""A webhook, and a store whose alerts start no process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.alerts import record as alerts
from modelyard.home import Home
from tests.alerts.webhook import Webhook


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
