"""A child for tests: tells its processes and the folder that it was told."""

import json
import os
import sys
import time
from pathlib import Path

from modelyard.machine.child import each_in_a_fork


def work(folder: Path) -> int:
    """Fail in `wrong`, and take long in `long`."""
    told = {"process": os.getpid(), "first": os.getppid(), "folder": folder.name}
    print(json.dumps(told), flush=True)  # noqa: T201
    if folder.name == "long":
        time.sleep(60)
    if folder.name == "wrong":
        print(json.dumps({"error": "expected another folder"}), flush=True)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(each_in_a_fork(work))
