"""What supervisord (http://supervisord.org) is given, and how it is asked over its socket."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
import xmlrpc.client
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from modelyard.files import make_folder
from modelyard.home import Home
from modelyard.operations.parts import Part
from modelyard.operations.state import SOCKET_FOLDER, UpState

MAX_SOCKET_PATH = 100
"""Of 107 that the kernel takes."""


@contextmanager
def interface(state: UpState) -> Iterator[Any]:
    """The supervisor's own interface (XML-RPC over its socket)."""
    transport = SupervisorTransport(None, None, f"unix://{state.socket}")
    try:
        yield xmlrpc.client.ServerProxy("http://127.0.0.1", transport).supervisor
    finally:
        transport.close()


def socket_path(home: Home) -> Path:
    """In the store, or where the path is short enough for the kernel: in a new folder that is this user's
    alone.
    """
    inside = make_folder(home.state) / "up.sock"
    if len(os.fsencode(inside)) <= MAX_SOCKET_PATH:
        return inside
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    return (
        Path(tempfile.mkdtemp(prefix=SOCKET_FOLDER, dir=runtime if Path(runtime).is_dir() else None))
        / "up.sock"
    )


def configuration(home: Home, parts: Sequence[Part], socket: Path) -> str:
    """supervisord's file; each part in a process group of its own that ends with the supervisor."""
    lines = [
        "[supervisord]",
        "nodaemon=true",
        f"logfile={home.logs / 'up.log'}",
        "logfile_maxbytes=5MB",
        "logfile_backups=2",
        f"pidfile={home.state / 'up.pid'}",
        "identifier=modelyard",
        "[unix_http_server]",
        f"file={socket}",
        "chmod=0700",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
    ]
    for part in parts:
        command = shlex.join(
            (sys.executable, "-P", "-m", "modelyard.machine.bound", "SIGKILL", *part.command)
        )
        log = str(home.logs / f"{part.name}.log").replace(
            "%", "%%"
        )  # of all that is told supervisord expands this twice
        lines += [
            f"[program:{part.name}]",
            f"command={command}",
            "autorestart=true",
            "startsecs=3",
            "startretries=1000000",
            "stopasgroup=true",
            "killasgroup=true",
            "stopwaitsecs=15",
            "redirect_stderr=true",
            f"stdout_logfile={log}",
            "stdout_logfile_maxbytes=10MB",
            "stdout_logfile_backups=3",
            "environment=" + ",".join(f'{name}="{value}"' for name, value in part.environment.items()),
        ]
    return "\n".join(line if line.startswith("[") else line.replace("%", "%%") for line in lines) + "\n"
