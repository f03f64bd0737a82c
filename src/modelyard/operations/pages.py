"""`python -m modelyard.operations.pages MLFLOW`: where on MLflow's pages to look, as JSON.

A program of its own: who serves the pages for days does not keep what it takes to ask MLflow for its last
runs.
"""

from __future__ import annotations

import json
import sys
from urllib.parse import quote

from modelyard.errors import ModelyardError
from modelyard.home import Home


def page_addresses(home: Home, mlflow: str) -> dict[str, str]:
    """Title -> address, for a server at this address. Raises: StoreError."""
    from modelyard.tracking.runs import newest_group
    from modelyard.tracking.store import open_store

    _, experiment = open_store(home)
    runs = ",".join(f'"{run}"' for run in newest_group(home))
    addresses = {
        "runs": f"{mlflow}/#/experiments/{experiment}/runs"
        "?workflowType=machine_learning&compareRunsMode=CHART"
    }
    if runs:
        compare = f'{mlflow}/#/compare-runs?runs=[{runs}]&experiments=["{experiment}"]'
        addresses["last comparison"] = quote(compare, safe=":/#?&=,")
    return addresses


if __name__ == "__main__":
    try:
        print(json.dumps(page_addresses(Home.current(), *sys.argv[1:])))  # noqa: T201
    except ModelyardError as error:
        sys.exit(str(error))
