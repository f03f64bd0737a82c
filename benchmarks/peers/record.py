"""What was measured, and the sentences that may be drawn from it. All ratios are paired within one repeat."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.peers.load import Cell

OURS = "modelyard"
TARGETS = {
    ("V2 binary", "onnxruntime"): 0.50,
    ("V2 JSON", "onnxruntime"): 0.35,
    ("/invocations", "mlflow"): 6.0,
    ("V2 JSON", "FastAPI"): 2.0,
    ("V2 JSON", "LitServe"): 8.0,
    ("V2 JSON", "BentoML"): 6.0,
    ("V2 JSON", "MLServer"): 3.0,
}
"""(our format, peer) -> the least ratio of requests a second that was asked for."""
MODEL_US = (100, 300, 1_000, 3_000, 10_000, 100_000)


@dataclass(slots=True)
class Limit:
    """onnxruntime alone, one entry a repeat."""

    best_rate: list[float] = field(default_factory=list)
    """Images a second at the best batch size."""
    p50_ms: list[float] = field(default_factory=list)
    """At batch 1."""


@dataclass(slots=True)
class Row:
    """One server in one format; lists have one entry a repeat."""

    server: str
    version: str
    form: str
    cells: dict[int, list[Cell]] = field(default_factory=dict)
    """Concurrency -> cells."""
    ready_seconds: list[float] = field(default_factory=list)
    memory_mb: list[tuple[float, float]] = field(default_factory=list)
    """(RSS, PSS) after the load, one worker."""
    memory_two_mb: tuple[float, float] | None = None
    """The same with two workers."""

    def best_rates(self) -> list[float]:
        """Requests a second at the best concurrency of each repeat."""
        return [
            max(cell.requests_per_second for cell in cells)
            for cells in zip(*self.cells.values(), strict=True)
        ]

    def median(self, concurrency: int, name: str) -> float:
        """Of one field of the cells at one concurrency."""
        return float(statistics.median(getattr(cell, name) for cell in self.cells[concurrency]))


def spread(values: Iterable[float], digits: int = 2) -> str:
    """Median (least-most)."""
    found = sorted(values)
    middle = f"{statistics.median(found):.{digits}f}"
    return middle if len(found) == 1 else f"{middle} ({found[0]:.{digits}f}-{found[-1]:.{digits}f})"


def cells_table(rows: list[Row]) -> list[str]:
    """What was measured, medians over the repeats."""
    lines = [
        "| server | format | req/s at 1 | at 16 | at 64 | p50 at 1, ms | p50 / p99 at 64, ms | CPU us/req |"
        " RSS / PSS, MB | two workers | ready, s |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        rates = " | ".join(
            f"{row.median(concurrency, 'requests_per_second'):.0f}" for concurrency in row.cells
        )
        rss, pss = (statistics.median(pair[i] for pair in row.memory_mb) for i in (0, 1))
        two = f"{row.memory_two_mb[0]:.0f} / {row.memory_two_mb[1]:.0f}" if row.memory_two_mb else "-"
        lines.append(
            f"| {row.server} {row.version} | {row.form} | {rates} | {row.median(1, 'p50_ms'):.2f} |"
            f" {row.median(64, 'p50_ms'):.1f} / {row.median(64, 'p99_ms'):.1f} | "
            f"{row.median(16, 'cpu_us'):.0f} |"
            f" {rss:.0f} / {pss:.0f} | {two} | {spread(row.ready_seconds)} |"
        )
    return lines


def ratios_table(rows: list[Row], limit: Limit) -> list[str]:
    """Ours over every peer at each one's best concurrency: median and extremes of the paired repeats.

    The ratio of CPU time for one request, at concurrency 16, suffers less from other work on the machine.
    """
    lines = ["| quantity | ratio | asked | CPU time |", "|---|---|---|---|"]
    ours = {row.form: row for row in rows if row.server == OURS}
    for form, row in ours.items():
        shares = _paired(row.best_rates(), limit.best_rate)
        lines.append(
            _line(
                f"{form} requests/s over onnxruntime's best images/s",
                shares,
                TARGETS.get((form, "onnxruntime")),
            )
        )
    p50 = [cell.p50_ms for cell in ours["V2 binary"].cells[1]]
    lines.append(
        "| V2 binary p50 at concurrency 1 over in-process batch 1 | "
        f"{spread(_paired(p50, limit.p50_ms))} | <= 3.0 | |"
    )
    for peer in (row for row in rows if row.server != OURS):
        form = "/invocations" if peer.form == "/invocations" else "V2 JSON"
        for mine in dict.fromkeys((form, "V2 binary")):
            quotients = _paired(ours[mine].best_rates(), peer.best_rates())
            cpu = spread(
                _paired(
                    [cell.cpu_us for cell in peer.cells[16]], [cell.cpu_us for cell in ours[mine].cells[16]]
                )
            )
            target = TARGETS.get((mine, peer.server))
            lines.append(_line(f"{mine} over {peer.server}'s {peer.form}", quotients, target, f"{cpu}x"))
    return lines


def break_even_table(rows: list[Row], limit: Limit) -> list[str]:
    """How the advantage shrinks as the model grows: (o_peer + m) / (o_ours + m), o = CPU us a request beyond
    the model.
    """
    model_us = 1e6 / statistics.median(limit.best_rate)
    overhead = {(row.server, row.form): max(0.0, row.median(16, "cpu_us") - model_us) for row in rows}
    lines = [
        "| model, us "
"an image | " + " | ".join(f"{us:,}" for us in MODEL_US) + " |", "|---" * (len(MODEL_US) + 1) + "|"
    ]  # fmt: skip
    for (server, form), theirs in overhead.items():
        if server == OURS:
            continue
        mine = overhead[OURS, "/invocations" if form == "/invocations" else "V2 JSON"]
        cells = " | ".join(f"{(theirs + us) / (mine + us):.2f}x" for us in MODEL_US)
        lines.append(f"| {server} (overhead {theirs:.0f} us, ours {mine:.0f}) | {cells} |")
    return lines


def as_json(rows: list[Row], limit: Limit) -> dict[str, Any]:
    """Everything, for a file."""
    return {"limit": asdict(limit), "rows": [asdict(row) for row in rows]}


def _paired(ours: list[float], theirs: list[float]) -> list[float]:
    return [mine / other for mine, other in zip(ours, theirs, strict=True)]


def _line(name: str, values: list[float], target: float | None, cpu: str = "") -> str:
    return f"| {name} | {spread(values)}x | {f'>= {target:g}x' if target else ''} | {cpu} |"
