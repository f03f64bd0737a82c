"""Hostility: hostile requests by the ten thousand and hostile files by the hundred; prints what was not
handled.

    python -m benchmarks.hostile [--requests 100000] [--seed 0] [--minutes 15]

A server with two workers serves a model of 28 x 28 pixels. A bystander, in a process of its own, asks it a
hundred times a second while as many ordinary and then as many hostile requests come from the same generator;
its p99 is compared. Then each spoilt release is put beside a good model that is promoted meanwhile, and each
spoilt data set is read in a child.
Handled: an answer that is right for its kind (`benchmarks/hostility/kinds.py`), a refusal in one line, no
dead process, no traceback in the log, no 5xx but 503 and 504, nothing that hangs.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.hostility.bodies import SHAPE, ordinary
from benchmarks.hostility.data import cases, outcome
from benchmarks.hostility.files import Situation, install, situations
from benchmarks.hostility.graphs import golden_samples, graphs
from benchmarks.hostility.traffic import Address, Bystander, Sent, Tally, honest, hostile, p99, run_traffic
from benchmarks.serving_soak import memory_mb
from tests.serving.bundles import Linear, release
from tests.serving.conftest import Server, running

FOLLOWED_S = 5.0
"""A good model's promotion beside a bad release is served after this at most."""
SETTLED_S = 40.0
"""For a release that is tried until its limit of time."""


def measured(server: Server, sent: Sent) -> tuple[Tally, list[float], Counter[str]]:
    """The requests' tally, the bystander's milliseconds, and what it did not get."""
    host, _, port = server.address.rpartition(":")
    address: Address = (host, int(port))
    bystander = Bystander(address)
    tally = run_traffic(address, sent)
    return tally, *bystander.end()


def report_requests(server: Server, count: int, seed: int, until: float) -> list[str]:
    """Print both loads; what was not handled."""
    before = memory_mb(server)
    _, calm, _ = measured(server, honest(count, ordinary))
    after = memory_mb(server)
    in_time = takewhile(lambda _: time.monotonic() < until, hostile(count, seed))
    tally, harmed, failures = measured(server, in_time)
    print(
        f"{tally.sent} hostile requests: {dict(sorted(tally.statuses.items()))} (0: closed, or "
        "the client left)"
    )
    print(
        f"bystander: p99 {p99(calm):.1f} ms beside as many ordinary ones, {p99(harmed):.1f} ms "
        "beside hostile ones, ",
        end="",
    )
    print(
        f"{len(harmed)} answers, most {max(harmed):.0f} ms; memory {before:.0f}, {after:.0f}, "
        f"{memory_mb(server):.0f} MB",
        flush=True,
    )
    wrong = [f"{what}, {times} times" for what, times in (tally.wrong + failures).most_common()]
    return wrong + [
        f"status {status}"
        for status in tally.statuses
        if status >= 500 and status not in {503, 504, 501, 505}
    ]


def report_releases(server: Server, releases: Path) -> list[str]:
    """Each bad release beside a promotion of a good one."""
    wrong: list[str] = []
    known = [*situations(), *graphs(), *golden_samples()]
    for number, situation in enumerate(known, 1):
        folder = releases / f"victim{number}"
        install(folder, situation)
        wrong += [
            f"release, {situation.name}: {what}"
            for what in beside_a_promotion(server, folder, situation, number)
        ]
        shutil.rmtree(folder)
    print(f"{len(known)} bad releases, {len(wrong)} not handled", flush=True)
    return wrong


def beside_a_promotion(server: Server, folder: Path, situation: Situation, number: int) -> Iterator[str]:
    """What went wrong with a bad release."""
    release(folder.parent, number, Linear.seeded(1), "champion", model="good")
    if not _within(FOLLOWED_S, lambda: _served(server).get("good") == str(number)):
        yield "another model's promotion was not followed"
    if situation.may_serve:
        return
    if not _within(SETTLED_S, lambda: folder.name in str(server.events("refused"))):
        yield "no line in the log"
    if folder.name in _served(server):
        yield "it is served"


def _served(server: Server) -> dict[str, str]:
    return {card["name"]: str(card["version"]) for card in server.client.get("/models").json()}


def _within(seconds: float, met: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not met():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def report_data(folder: Path) -> list[str]:
    """Each bad data set, file and module."""
    known = list(cases())
    found = {case.name: outcome(case, folder / str(number)) for number, case in enumerate(known)}
    wrong = [f"{name}: {what}" for name, what in found.items() if what]
    print(f"{len(known)} bad data sets and modules, {len(wrong)} not handled", flush=True)
    return wrong


def report_server(server: Server) -> list[str]:
    """Dead processes and faults of the whole time."""
    wrong = [
        f"{event}: {told}"
        for event in ("fault", "worker died", "worker failed")
        for told in server.events(event)
    ]
    if server.process.poll() is not None:
        wrong.append(f"the server ended with {server.process.returncode}")
    return wrong + (["a traceback in the log"] if "Traceback" in server.log.read_text() else [])


def main() -> None:
    """Measure and print; exit code 1 when something was not handled."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=15.0, help="of requests at most")
    given = parser.parse_args()
    with TemporaryDirectory() as name:
        folder, releases = Path(name), Path(name) / "releases"
        release(releases, 1, Linear.seeded(1, SHAPE), "champion", model="digits")
        options = ("--workers", "2", "--read-timeout-s", "4", "--poll-s", "0.1")
        with running(releases, folder / "log", *options) as server:
            wrong = report_requests(server, given.requests, given.seed, time.monotonic() + 60 * given.minutes)
            wrong += report_releases(server, releases)
            wrong += report_server(server)
        wrong += report_data(folder / "data")
    print("\n".join(["not handled:", *wrong]) if wrong else "everything was handled")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
