"""Empty stores, and one of an earlier edition."""

from __future__ import annotations

import tarfile
from pathlib import Path

from modelyard.home import Home
from modelyard.machine.databases import make_blank
from modelyard.tracking.relocation import relocate

ROOT = Path(__file__).parents[1]
MLFLOW, PREFECT = ROOT / "src/modelyard/tracking/dumps", ROOT / "flows/dumps"
FIXTURES = Path(__file__).parent / "fixtures"
"""A folder for each commit that made a store, at /srv/modelyard: two versions of `digits` (one an own module)
and two schedules. 0dba254 holds the prepared data. 2f58f3d holds the folders of the other steps, without
pictures; a forced promotion and its rollback; a user's alias; an alert that is recorded and one that waits
for a webhook.
"""


class Templates:
    """Empty databases, a copy each."""

    def mlflow(self, path: Path) -> None:
        """MLflow's database without anything of ours."""
        assert make_blank(path, MLFLOW, "mlflow")

    def store(self, root: Path, *, prefect: bool = False) -> Home:
        """An empty store at `root`, with MLflow's database and, where flows will run, Prefect's."""
        home = Home(root)
        root.mkdir(parents=True, exist_ok=True)
        self.mlflow(home.database)
        if prefect:
            home.prefect.mkdir(mode=0o700, exist_ok=True)
            assert make_blank(home.prefect / "prefect.db", PREFECT, "prefect")
        return home


def former_store(folder: Path, commit: str = "0dba254") -> Home:
    """The store that an earlier commit made, moved to `folder/mlruns`; its own module is `folder/own.py`."""
    with tarfile.open(FIXTURES / commit / "store.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    home = Home(folder / "mlruns")
    relocate(home)
    return home
