"""Everything of MLflow that is not its public interface, and so may change with any of its versions.

MLflow is imported by the functions that need it: `modelyard up` reads the server's variables without it.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Every column in which MLflow keeps an absolute path of ours."""


@cache
def latest_revision() -> str:
    """The database schema of the MLflow that is installed."""
    from mlflow.store.db.utils import _get_latest_schema_revision

    return str(_get_latest_schema_revision())  # type: ignore[no-untyped-call]


def migrate(database: Path) -> None:
    """Bring a database to that schema. Raises: MlflowException or SQLAlchemyError."""
    import sqlalchemy
    from mlflow.store.db.utils import _upgrade_db

    engine = sqlalchemy.create_engine(f"sqlite:///{database}")
    try:
        _upgrade_db(engine)  # type: ignore[no-untyped-call]
    finally:
        engine.dispose()


@contextmanager
def requirements_as_given() -> Iterator[None]:
    """Within, MLflow does not look through all installed packages (a second) for the modules of the
    requirements that it is given: ours are pins of what was imported.
    """
    module: Any = importlib.import_module("mlflow.utils.requirements_utils")
    before = module._MODULES_TO_PACKAGES
    module._MODULES_TO_PACKAGES = before or {}
    try:
        yield
    finally:
        module._MODULES_TO_PACKAGES = before


def server_variables(database: Path, artifacts: Path) -> dict[str, str]:
    """What `mlflow server` sets for its workers, which are two processes more and 240 MB."""
    return {
        "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{database}",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": str(artifacts),
        "_MLFLOW_SGI_NAME": "uvicorn",
        "_MLFLOW_IN_JOB_EXECUTOR": "false",
    }
