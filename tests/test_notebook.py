"""The example notebook in a real kernel, whose thread has an event loop of its own."""

from __future__ import annotations

from pathlib import Path

import nbclient
import nbformat
import pytest

from modelyard.home import Home
from tests.trained import ASSIGNMENTS, Trained

NOTEBOOK = Path(__file__).parents[1] / "docs" / "example.ipynb"


def test_the_example_notebook_runs(
    warm_store: Path, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(warm_store / "runs")
    trained.steps(home, "cnn", "rnn")
    steps = set(home.steps.iterdir())
    for name in ("PREFECT_HOME", "PREFECT_API_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    notebook = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    assert not any(cell.get("outputs") for cell in notebook.cells)
    assert all(f'"{assignment}"' in notebook.cells[1].source for assignment in ASSIGNMENTS)
    place = {"metadata": {"path": str(warm_store)}}
    nbclient.NotebookClient(notebook, timeout=240, kernel_name="python3", resources=place).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    pages = [output["data"].get("text/html", "") for output in shown if "data" in output]
    assert any("promoted: first champion" in page for page in pages)
    told = [output["data"]["text/plain"] for output in shown if "data" in output]
    assert told[-1] == "True"
    assert any("of 12 right" in text for text in told)
    assert (home.releases / "digits" / "champion.alias").exists()
    assert set(home.steps.iterdir()) == steps, "nothing is done twice"
