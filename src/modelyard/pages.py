"""The MLflow and Prefect pages as two child processes that end together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable

from modelyard.home import Home


def serve_pages(home: Home, mlflow_port: int, prefect_port: int, say: Callable[[str], None]) -> None:
    """Run both servers until one ends or the user stops."""
    home.logs.mkdir(parents=True, exist_ok=True)
    commands = {
        "mlflow": ["mlflow", "server", "--backend-store-uri", f"sqlite:///{home.database}", "--host", "127.0.0.1",
                   "--port", str(mlflow_port), "--workers", "1"],
        "prefect": ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(prefect_port)],
    }  # fmt: skip
    children = []
    try:
        for name, command in commands.items():
            with (home.logs / f"{name}.log").open("ab") as log:
                children.append(
                    subprocess.Popen([sys.executable, "-m", *command], stdout=log, stderr=log, start_new_session=True)
                )
        say(f"MLflow:  http://127.0.0.1:{mlflow_port}  (choose 'Model training' at the top left)")
        say(f"Prefect: http://127.0.0.1:{prefect_port}\nCtrl-C stops both; logs are in {home.logs}")
        children[0].wait()
    finally:
        for child in children:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGTERM)
        for child in children:
            child.wait(timeout=20)
