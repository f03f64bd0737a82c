"""A step's body in a process group of its own, which ends with this process whatever happens."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modelyard.errors import ModelyardError, TrainingError, TrainingKilledError
from modelyard.machine.bound import bound_environment

ERRORS_FILE = "stderr.log"


def run_in_child(
    module: str, out: Path, on_line: Callable[[dict[str, Any]], None], environment: dict[str, str]
) -> None:
    """`python -m MODULE OUT`, which tells a JSON object a line; one with `error` is why it failed.

    Raises: TrainingError; TrainingKilledError when it was killed; ModelyardError for a wrong input.
    """
    told = bound_environment() | environment
    command = [sys.executable, "-P", "-m", module, str(out)]
    with (
        (out / ERRORS_FILE).open("w+") as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True, env=told
        ) as process,
    ):
        try:
            expected = ""
            for line in process.stdout or ():
                answer = json.loads(line) if line.startswith("{") else {}
                if "error" in answer:
                    expected = answer["error"]
                elif answer:
                    on_line(answer)
            code = process.wait()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    messages = (out / ERRORS_FILE).read_text().strip().splitlines()
    if messages:
        logging.getLogger(__name__).info("stderr of %s:\n%s", module, "\n".join(messages))
    if code:
        last = messages[-1] if messages else f"training ended with code {code} (out of memory?)"
        raise _kind(code)(expected or last)


def _kind(code: int) -> type[ModelyardError]:
    if code == ModelyardError.exit_code:
        return ModelyardError
    return TrainingKilledError if code < 0 else TrainingError
