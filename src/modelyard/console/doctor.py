"""A look at the machine and the store."""

from __future__ import annotations

import importlib.metadata
import shutil
import sqlite3
from contextlib import closing
from typing import Any

import onnx
import onnxruntime
from onnx import TensorProto, helper

from modelyard.errors import ConfigError, ModelyardError, StoreError
from modelyard.files import is_plain_name
from modelyard.home import Home
from modelyard.housekeeping.sizes import store_sizes
from modelyard.machine.cores import affinity_cores, quota_cores, usable_cores

PACKAGES = ("torch", "torchvision", "prefect", "mlflow", "onnx", "fastapi", "sqlalchemy")


def examine(home: Home) -> dict[str, Any]:
    """Name -> finding, in the order to read them."""
    wheels = [name for name in ("onnxruntime", "onnxruntime-gpu") if _version(name)]
    report: dict[str, Any] = {name: _version(name) or "missing" for name in PACKAGES}
    report["onnxruntime"] = " and ".join(f"{name} {_version(name)}" for name in wheels)
    if len(wheels) > 1:
        report["onnxruntime clash"] = "both wheels share one folder: uninstall both, then install one"
    report["torch device"] = _torch_device()
    report["providers offered"] = ", ".join(onnxruntime.get_available_providers())
    report["provider used"] = _provider_used()
    quota = quota_cores()
    report["cores"] = (
        f"{usable_cores()} usable: affinity {affinity_cores()}, quota "
        f"{'none' if quota is None else f'{quota:g}'}"
    )
    report["store"] = str(home.root)
    free = shutil.disk_usage(home.root if home.root.exists() else home.root.parent).free
    report["free disk"] = f"{free / 1e9:.1f} GB"
    report["sizes"] = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in store_sizes(home).items())
    report["database"] = _database(home)
    report["remote"] = _remote(home)
    return report | _ledgers(home, ask_registry=report["database"] == "ok")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _torch_device() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu (torch sees no CUDA device)"


def _provider_used() -> str:
    """Offered is not used: onnxruntime falls back without an error, so ask a session of one node."""
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "probe", value[:1], value[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    onnxruntime.set_default_logger_severity(4)  # libraries that are missing show in the answer
    options.log_severity_level = 4
    providers = [
        name for name in onnxruntime.get_available_providers() if name != "TensorrtExecutionProvider"
    ]
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=providers)
    return str(session.get_providers()[0])


def _database(home: Home) -> str:
    if not home.database.exists():
        return "none yet; the first run makes it"
    from modelyard.tracking.store import (
        RELOCATE,
        UPGRADE,
        is_for_reading,
        read_only,
        schema_is_current,
        stored_experiment,
    )

    try:
        reads = is_for_reading(home)
        with closing(
            sqlite3.connect(read_only(home) if reads else home.database, timeout=1, uri=reads)
        ) as connection:
            check = connection.execute("PRAGMA quick_check").fetchone()[0]
            found = stored_experiment(connection, home)
            if not reads:
                connection.execute("BEGIN IMMEDIATE")
                connection.rollback()
    except sqlite3.OperationalError as error:
        return (
            f"{error}; a program that holds it has to end"
            if "locked" in str(error)
            else f"cannot be read: {error}"
        )
    except sqlite3.Error as error:
        return f"cannot be read: {error}; put a copy back or move it away"
    if found and found.artifacts != str(home.artifacts):
        return f"moved: made for {found.artifacts}, now at {home.artifacts}; {RELOCATE}"
    return str(check) if schema_is_current(home) else f"an older schema; {UPGRADE}"


def _remote(home: Home) -> str:
    """Where runs are mirrored to, whether it answers and what has not arrived."""
    from modelyard.mirror.remote import configured_remote

    try:
        remote = configured_remote()
    except ConfigError as error:
        return str(error)
    if remote is None:
        return "none (MODELYARD_REMOTE names an MLflow server to mirror to)"
    from modelyard.mirror.sent import count_waiting, in_words

    try:
        waiting = in_words(count_waiting(home, remote) if home.database.exists() else 0)
    except StoreError:
        waiting = "the store cannot be read"
    return f"{remote.name}, {'reachable' if remote.is_answering() else 'not reachable'}, {waiting}"


def _ledgers(home: Home, *, ask_registry: bool) -> dict[str, str]:
    """Whether each model's ledger is as it was written; a registry that cannot be read is not asked what it
    remembers.
    """
    from modelyard.registry.history import Verification, verify

    report: dict[str, str] = {}
    for folder in sorted(
        path for path in home.releases.glob("*") if path.is_dir() and is_plain_name(path.name)
    ):
        try:
            ledger = verify(home, folder.name, ask_registry=ask_registry)
        except (ModelyardError, OSError) as error:
            ledger = Verification("", [str(error)])
        report[f"ledger of {folder.name}"] = (
            f"ALTERED: {'; '.join(ledger.problems)}" if ledger.problems else f"whole: {ledger.checked}"
        )
    return report
