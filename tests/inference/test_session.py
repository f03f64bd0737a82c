"""Latencies: what else runs on the machine is told, and not counted for or against anyone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path

import pytest

from modelyard.inference import session as inference
from modelyard.inference.session import LEAST_CALLS, LEAST_ROUNDS, WARM_UP, latencies_ms


class Clock:
    """Stands still but for what is done."""

    def __init__(self) -> None:
        self.now, self.done = 0.0, ""

    def call(self, name: str, milliseconds: Callable[[float], float]) -> Callable[[], None]:
        """Something that takes so long at a time in seconds."""

        def work() -> None:
            self.now += milliseconds(self.now) / 1e3
            self.done += name

        return work


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("time.perf_counter", lambda: clock.now)
    return clock


def test_calls_alternate_and_a_quiet_machine_has_no_spread(clock: Clock) -> None:
    fast, slow = latencies_ms([clock.call("a", lambda _: 0.5), clock.call("b", lambda _: 2.0)])
    assert [fast.p50, fast.p50_high, fast.p99, slow.p50, slow.p50_high, slow.p99] == pytest.approx(
        [0.5] * 3 + [2.0] * 3
    )
    assert clock.done.count("ab") > inference.ROUNDS


@pytest.mark.parametrize("busy_s", [0.3, 0.7, 1.4])
def test_a_machine_that_is_busy_for_a_while_flatters_none_and_is_told(clock: Clock, busy_s: float) -> None:
    """A hundred times slower at first; before, all of it would have met the second call or the first."""
    slowed = [
        clock.call(name, lambda now, ms=ms: ms * (100 if now < busy_s else 1))  # type: ignore[misc]
        for name, ms in (("a", 0.1), ("b", 1.0))
    ]
    first, second = latencies_ms(slowed)
    assert (first.p50, second.p50, first.p99, second.p99) == pytest.approx((0.1, 1.0, 0.1, 1.0))
    assert first.p50_high >= first.p50 and second.p50_high >= second.p50
    busy = latencies_ms([clock.call("c", lambda now: 1.0 if int(now * 8) % 2 else 50.0)])[0]
    assert busy.p50 == pytest.approx(1.0) and busy.p50_high > 5


def test_a_long_call_ends_the_measurement_early(clock: Clock) -> None:
    (latency,) = latencies_ms([clock.call("x", lambda _: 5000.0)])
    assert astuple(latency) == pytest.approx((5000.0,) * 4)
    assert len(clock.done) == WARM_UP + LEAST_ROUNDS * (1 + LEAST_CALLS)


def test_onnxruntime_tells_nobody(tmp_path: Path) -> None:
    """It would leave an identifier of the device below the home folder, and send what it collects."""
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run([sys.executable, "-c", "import modelyard.inference.session"], env=environment, check=True)
    assert list(tmp_path.iterdir()) == []
