"""Other users of this machine, in a root folder of their own as a container has: real permissions, nothing
else in sight.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc", "/proc", "/dev")
ENTER = """set -e
root=$1; shift
mount -t tmpfs -o mode=755 none "$root"
mkdir -m 1777 "$root/tmp"
while [ "$1" != -- ]; do
    if [ -L "$1" ]; then cp -P "$1" "$root$2"
    else
        mkdir -p "$root$2"; mount --rbind "$1" "$root$2"
        if [ "$3" = ro ]; then mount -o remount,bind,ro "$root$2"; fi
    fi
    shift 3
done
shift
exec chroot "$root" "$@"
"""


@functools.cache
def _refusal() -> str:
    if os.geteuid():
        return "only root can become another user"
    tried = subprocess.run(
        ["unshare", "--mount", "setpriv", "--version"], capture_output=True, text=True, check=False
    )
    return f"no mount namespace of one's own here: {tried.stderr.strip()}" if tried.returncode else ""


def as_user(
    number: int,
    group: int | None,
    command: Sequence[str],
    root: Path,
    *,
    seen: Mapping[Path, str],
    writes: Path | None = None,
    environment: Mapping[str, str],
) -> list[str]:
    """`command` for a user without rights, in one group besides its own. Skips the test where that cannot be
    tried.

    root: an empty folder. seen: folder -> where it lies inside, for reading. writes: the folder that may be
    written.
    """
    if _refusal():
        pytest.skip(_refusal())
    own = {path: path for path in (*SYSTEM, sys.base_prefix) if Path(path).exists()}
    mounts = [part for path, inside in own.items() for part in (path, inside, "rw")]
    mounts += [part for path, inside in seen.items() for part in (str(path), inside, "ro")]
    mounts += [str(writes), str(writes), "rw"] if writes else []
    groups = ["--clear-groups"] if group is None else ["--groups", str(group)]
    variables = [f"{name}={value}" for name, value in environment.items()]
    return [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        ENTER,
        "enter",
        str(root),
        *mounts,
        "--",
        "setpriv",
        "--reuid",
        str(number),
        "--regid",
        str(number),
        *groups,
        "--bounding-set=-all",
        "--inh-caps=-all",
        "--no-new-privs",
        "env",
        "-i",
        *variables,
        *command,
    ]
