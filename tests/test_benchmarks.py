"""The serving benchmark checks answers before it times them, and its ratios are paired within a repeat."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import psutil
import pytest

from benchmarks.peers import load
from benchmarks.peers.formats import Format, invocations, v2_binary, v2_json
from benchmarks.peers.load import Cell, Samples, make_samples, verify
from benchmarks.peers.process import Running
from benchmarks.peers.record import Limit, Row, break_even_table, ratios_table, spread
from tests.serving.bundles import Linear, release
from tests.serving.conftest import running

SHAPE = (2, 2, 1)
FORMATS = [v2_binary("/v2/models/fruit/infer", SHAPE), v2_json("/v2/models/fruit/infer"), invocations()]


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_right_answers_pass_and_one_wrong_answer_stops_the_benchmark(
    form: Format, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "ROUNDS", 1)
    folder = release(tmp_path / "releases", 1, Linear.seeded(1, SHAPE), "champion")
    samples = make_samples(folder)
    with running(tmp_path / "releases", tmp_path / "log", "--workers", "1") as server:
        up = Running(int(server.url.rsplit(":", 1)[1]), psutil.Process(server.process.pid), 0.0)
        assert verify(up, form, samples) <= 1e-6
        altered_BK = samples.probabilities_BK.copy()
        altered_BK[63] = np.roll(altered_BK[63], 1)
        with pytest.raises(SystemExit, match="answers differ from onnxruntime by"):
            verify(up, form, Samples(samples.images_BHWC, altered_BK))


def row(server: str, form: str, rates: list[float], cpu_us: float) -> Row:
    cells = {concurrency: [Cell(rate, 1.0, 2.0, cpu_us) for rate in rates] for concurrency in (1, 16, 64)}
    return Row(server, "", form, cells, [0.5] * len(rates), [(100.0, 80.0)] * len(rates))


def test_a_ratio_is_taken_within_each_repeat() -> None:
    """A machine that is twice as slow in the second repeat changes no ratio."""
    ours = [
        row("modelyard", form, [4000.0, 2000.0], 200.0) for form in ("V2 binary", "V2 JSON", "/invocations")
    ]
    lines = ratios_table(
        [*ours, row("FastAPI", "JSON", [1000.0, 500.0], 700.0)], Limit([8000.0, 4000.0], [0.5, 0.5])
    )
    assert "| V2 JSON over FastAPI's JSON | 4.00 (4.00-4.00)x | >= 2x | 3.50 (3.50-3.50)x |" in lines
    assert (
        "| V2 binary requests/s over onnxruntime's best images/s | 0.50 (0.50-0.50)x | >= 0.5x |  |" in lines
    )
    assert spread([3.0, 1.0, 2.0]) == "2.00 (1.00-3.00)"


def test_the_advantage_shrinks_to_nothing_as_the_model_grows() -> None:
    rows = [row("modelyard", "V2 JSON", [4000.0], 200.0), row("FastAPI", "JSON", [1000.0], 1100.0)]
    _, _, line = break_even_table(rows, Limit([10_000.0], [0.1]))
    factors = [float(cell.strip(" x")) for cell in line.split("|")[2:-1]]
    assert factors[0] == 5.5  # (1000 + 100) / (100 + 100), overheads beyond the model's 100 us
    assert factors == sorted(factors, reverse=True)
    assert 1.0 <= factors[-1] < 1.02
