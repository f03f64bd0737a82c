"""A child for tests: tells its process and the folder that it was told."""

import json
import os
import sys
import time

folder = sys.stdin.readline().strip()
print(  # noqa: T201
    json.dumps({"process": os.getpid(), "folder": folder}), flush=True
)
if folder.endswith("long"):
    time.sleep(60)
if folder.endswith("wrong"):
    print(  # noqa: T201
        json.dumps({"error": "expected another folder"}), flush=True
    )
    sys.exit(2)
