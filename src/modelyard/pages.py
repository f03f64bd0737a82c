"""`python -m modelyard.pages MLFLOW PREFECT`: where on MLflow's and Prefect's pages to look, as JSON.

A program of its own: who serves the pages for days does not keep what it takes to ask MLflow for its last runs.
"""

from __future__ import annotations

import json
import subprocess
import sys
from urllib.parse import quote

from modelyard.errors import ModelyardError, StoreError
from modelyard.home import Home


def page_addresses(home: Home, mlflow: str, prefect: str) -> dict[str, str]:
    """Title -> address, for servers at these addresses. Raises: StoreError."""
    from modelyard.tracking.runs import newest_group
    from modelyard.tracking.store import open_store

    _, experiment = open_store(home)
    runs = ",".join(f'"{run}"' for run in newest_group(home))
    addresses = {
        "runs": f"{mlflow}/#/experiments/{experiment}/runs?workflowType=machine_learning&compareRunsMode=CHART",
        "flows": f"{prefect}/runs",
    }
    if runs:
        compare = f'{mlflow}/#/compare-runs?runs=[{runs}]&experiments=["{experiment}"]'
        addresses["last comparison"] = quote(compare, safe=":/#?&=,")
    return addresses


def ask_for_addresses(mlflow: str, prefect: str) -> dict[str, str]:
    """`page_addresses` from a process that ends. Raises: StoreError."""
    command = [sys.executable, "-m", "modelyard.pages", mlflow, prefect]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StoreError((done.stderr.strip().splitlines() or ["the pages cannot be named; see modelyard doctor"])[-1])
    found: dict[str, str] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    try:
        print(json.dumps(page_addresses(Home.current(), *sys.argv[1:])))  # noqa: T201
    except ModelyardError as error:
        sys.exit(str(error))
