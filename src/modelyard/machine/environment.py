"""Variables that libraries read at import. Set before any is imported; a user's own values win."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from modelyard.home import Home
from modelyard.machine.sharing import close_root

REMOTE_VARIABLE = "MODELYARD_REMOTE"
_callers_umask: list[int] = []


@contextlib.contextmanager
def private_files() -> Iterator[None]:
    """What is made below is its owner's alone, by child processes, too. The umask is the whole process's and
    comes back.
    """
    _callers_umask.append(os.umask(0o077))
    try:
        yield
    finally:
        os.umask(_callers_umask.pop())


@contextlib.contextmanager
def callers_files() -> Iterator[None]:
    """Within `private_files`: what is made below is as open as the caller wants it. For files outside the
    store.
    """
    before = os.umask(0o077)
    os.umask(_callers_umask[-1] if _callers_umask else before)
    try:
        yield
    finally:
        os.umask(before)


def configure(home: Home) -> None:
    """Fix every path and silence what is not for people (measured reasons: docs/decisions.md)."""
    prefect = home.prefect
    values = {
        "PREFECT_HOME": str(prefect),
        "PREFECT_LOCAL_STORAGE_PATH": str(prefect / "results"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",  # Prefect's own has no string and asks for no Host
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED": "false",
        "PREFECT_SERVER_UI_API_URL": "/api",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_CONFIGURE_LOGGING": "false",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_TRACKING_URI": f"sqlite:///{home.database}",
        "GIT_PYTHON_REFRESH": "quiet",
        "MPLBACKEND": "agg",
    }
    with contextlib.suppress(OSError):  # the store says it better when it is opened
        if close_root(home):
            sys.stderr.write(
                f"modelyard: NOTE: others could look into {home.root}; it is its owner's alone now "
                "(modelyard store share)\n"
            )
        prefect.mkdir(mode=0o700, exist_ok=True)
    if os.environ.get("MLFLOW_TRACKING_URI", "").startswith(("http://", "https://")):
        os.environ.setdefault(
            REMOTE_VARIABLE, os.environ.pop("MLFLOW_TRACKING_URI")
        )  # mirrored: the store is always local
    for name in (*values, "PREFECT_API_URL"):
        if not os.environ.get(name, "-"):
            del os.environ[name]  # empty is not told, as of `NAME=` in a file for containers
    for name, value in values.items():
        os.environ.setdefault(name, value)
    for name in ("no_proxy", "NO_PROXY"):  # what goes to this machine is no proxy's business
        if "127.0.0.1" not in (known := os.environ.get(name, "")):
            os.environ[name] = ",".join(filter(None, [known, "127.0.0.1", "localhost"]))
