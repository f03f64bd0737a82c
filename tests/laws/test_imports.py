"""What a room brings with it: who reads a release does not wait for torch."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = (
    "torch",
    "mlflow",
    "prefect",
    "pydantic",
    "onnxruntime",
    "pandas",
    "matplotlib",
    "scipy",
    "sklearn",
    "PIL",
)
ALLOWED = {
    "modelyard.bundle": set(),
    "modelyard.releases.folders": set(),
    "modelyard.releases.ledger_writer": set(),
    "modelyard.serving.__main__": set(),
    "modelyard.cli.app": set(),
    "modelyard.operations.parts": set(),
    "modelyard.samples.image": {"PIL"},
    "modelyard.tracking.runs": {"mlflow", "pydantic", "pandas", "scipy"},
    "modelyard.registry.versions": {"mlflow", "pydantic", "pandas", "scipy"},
    "modelyard.promotion.automatic": {"mlflow", "pydantic", "pandas", "scipy"},
}
"""Module -> what it may load; the lightest first, as one process imports them all."""
CHILD = """
import importlib, json, sys
heavy, modules = json.loads(sys.argv[1])
loaded = {}
for module in modules:
    importlib.import_module(module)
    loaded[module] = [name for name in heavy if name in sys.modules]
print(json.dumps(loaded))
"""


def test_a_room_loads_only_what_it_needs() -> None:
    given = json.dumps([HEAVY, list(ALLOWED)])
    child = subprocess.run(
        [sys.executable, "-P", "-c", CHILD, given], capture_output=True, text=True, check=True
    )
    loaded = json.loads(child.stdout)
    allowed = set[str]()
    for module, more in ALLOWED.items():
        allowed |= more
        assert set(loaded[module]) <= allowed, module
