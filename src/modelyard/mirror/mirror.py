"""The store's mirror at an MLflow server: every run and registered version, once, however often it is tried.

The store on this disk is the truth and the spool; the server may be away for as long as it likes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from filelock import FileLock, Timeout
from mlflow.exceptions import MlflowException

from modelyard.errors import RemoteError, StoreError, UnreachableError
from modelyard.files import make_folder
from modelyard.home import Home
from modelyard.machine.store_mark import store_id
from modelyard.mirror.copies import send_run
from modelyard.mirror.remote import Link, Remote, asking
from modelyard.mirror.sent import LocalModel, LocalRun, Record, Sent, count_waiting, local_models, local_runs
from modelyard.mirror.version_copies import send_versions
from modelyard.tracking.store import EXPERIMENT, open_store

ROUNDS, PAUSE_SECONDS = 3, 0.3
LOCK_SECONDS = 60.0
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one sync did: runs sent, runs that still wait, and why."""

    sent: int
    waiting: int
    problem: str


def sync(
    home: Home, remote: Remote, say: Say, *, verify: bool = False, lock_seconds: float = LOCK_SECONDS
) -> Outcome:
    """Send all that waits; `verify` compares everything anew with what the server has.

    Raises: StoreError when another sync of this store is at work for longer than `lock_seconds`.
    """
    try:
        with FileLock(make_folder(home.locks) / "mirror.lock", timeout=lock_seconds):
            return _sync(home, remote, say, verify)
    except Timeout:
        raise StoreError(f"another sync of {home.root} is at work; try again when it has ended") from None


def _sync(home: Home, remote: Remote, say: Say, verify: bool) -> Outcome:
    record, problem = Record(home, remote), ""
    request = Request(remote, say, verify)
    for attempt in range(ROUNDS):
        time.sleep(PAUSE_SECONDS * attempt)
        problem = _one_round(home, record, request)
        if not problem:
            break
    record.note(problem)
    return Outcome(len(request.sent), count_waiting(home, remote), problem)


@dataclass(frozen=True, slots=True)
class Request:
    """What one sync is to do, and the keys of the runs that it has sent."""

    remote: Remote
    say: Say
    verify: bool
    sent: set[str] = field(default_factory=set)


def _one_round(home: Home, record: Record, request: Request) -> str:
    """Try each thing that waits once; gives the last problem. A server that cannot be asked ends
    the round.
    """
    verify = request.verify
    runs = [run for run in local_runs(home) if record.is_waiting(run.key, run.fingerprint, verify)]
    models = [
        model for model in local_models(home) if record.is_waiting(model.key, model.fingerprint, verify)
    ]
    if not runs and not models:
        return ""
    problems: list[str] = []
    try:
        ends = _connect(home, request.remote)
        for number, run in enumerate(runs, 1):
            problems.append(_attempt(record, run, partial(send_run, ends, run), verify))
            if not problems[-1]:
                request.sent.add(run.key)
            request.say(f"{number}/{len(runs)}  {run.name}{problems[-1] and ': ' + problems[-1]}")
        for model in models:
            problems.append(_attempt(record, model, partial(send_versions, ends, model, record), verify))
    except RemoteError as error:
        problems.append(str(error))
    return next(filter(None, problems), "")


def _attempt(record: Record, what: LocalRun | LocalModel, send: Callable[[Sent], None], verify: bool) -> str:
    """Send one thing; gives why it was not taken. Raises: UnreachableError.

    After a failure or a kill some request may still be carried out: until it cannot be any more, this is
    looked at again.
    """
    sent = record.read(what.key)
    before, sent.doubt = sent.doubt, time.time()
    record.write(what.key, sent)
    if verify:
        sent.forget()
    try:
        send(sent)
    except UnreachableError:
        raise
    except RemoteError as error:
        return str(error)
    sent.doubt, sent.fingerprint = before, what.fingerprint
    record.write(what.key, sent)
    return ""


def _connect(home: Home, remote: Remote) -> Link:
    client = remote.client()
    with asking(remote):
        found = client.get_experiment_by_name(EXPERIMENT)
        if found is None:
            with suppress(MlflowException):  # somebody else may have just made it
                client.create_experiment(EXPERIMENT)
            found = client.get_experiment_by_name(EXPERIMENT)
    if found is None or found.lifecycle_stage != "active":
        raise UnreachableError(
            f"the experiment {EXPERIMENT!r} was deleted on {remote.name}; restore it there"
        )
    return Link(store_id(home), open_store(home)[0], remote, client, found.experiment_id)
