"""The counters as Prometheus text under Triton's names, and as the V2 statistics extension."""

from __future__ import annotations

from collections.abc import Callable

from modelyard.serving import metrics
from modelyard.serving.metrics import BATCHES, BUCKETS_S, HISTOGRAM, MAX_BATCH, Totals

PROMETHEUS_TYPE = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
_SERIES: tuple[tuple[str, str, str, Callable[[list[int]], int]], ...] = (
    ("nv_inference_request_success", "counter", "Answered inference requests", lambda c: c[metrics.SUCCESS]),
    ("nv_inference_request_failure", "counter", "Inference requests answered with an error", lambda c: c[metrics.FAILURE]),
    ("nv_inference_count", "counter", "Rows inferred", lambda c: c[metrics.ROWS]),
    ("nv_inference_exec_count", "counter", "Batches executed", lambda c: c[metrics.EXECUTIONS]),
    ("nv_inference_request_duration_us", "counter", "Answering, in all", lambda c: c[metrics.REQUEST_NS] // 1000),
    ("nv_inference_queue_duration_us", "counter", "Waiting for the model", lambda c: c[metrics.QUEUE_NS] // 1000),
    ("nv_inference_compute_input_duration_us", "counter", "Assembling batches", lambda c: c[metrics.INPUT_NS] // 1000),
    ("nv_inference_compute_infer_duration_us", "counter", "In onnxruntime", lambda c: c[metrics.INFER_NS] // 1000),
    ("nv_inference_compute_output_duration_us", "counter", "Splitting batches", lambda c: c[metrics.OUTPUT_NS] // 1000),
    ("nv_inference_pending_request_count", "gauge", "Requests that wait or run", lambda c: c[metrics.PENDING]),
)
_LATENCY = "modelyard_request_duration_seconds"


def prometheus_text(totals: Totals) -> bytes:
    """Prometheus exposition format 0.0.4."""
    lines: list[str] = []
    for name, kind, told, read in _SERIES:
        lines += [f"# HELP {name} {told}", f"# TYPE {name} {kind}"]
        lines += [f"{name}{{{_labels(key)}}} {read(counters)}" for key, counters in totals.items()]
    lines += [f"# HELP {_LATENCY} From request to answer, in this server", f"# TYPE {_LATENCY} histogram"]
    for key, counters in totals.items():
        lines += _histogram(_labels(key), counters)
    return "\n".join([*lines, ""]).encode()


def _histogram(labels: str, counters: list[int]) -> list[str]:
    lines: list[str] = []
    below = 0
    for offset, bound in enumerate([*map(str, BUCKETS_S), "+Inf"]):
        below += counters[HISTOGRAM + offset]
        lines.append(f'{_LATENCY}_bucket{{{labels},le="{bound}"}} {below}')
    total_s = counters[metrics.REQUEST_NS] / 1e9
    return [*lines, f"{_LATENCY}_sum{{{labels}}} {total_s:.6f}", f"{_LATENCY}_count{{{labels}}} {below}"]


def _labels(key: tuple[str, str]) -> str:
    model, version = (text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for text in key)
    return f'model="{model}",version="{version}"'


def statistics(totals: Totals, name: str | None = None, version: str | None = None) -> dict[str, object]:
    """`model_stats` of the V2 statistics extension, for all or one model and version."""
    chosen = {key: c for key, c in totals.items() if name in {None, key[0]} and version in {None, key[1]}}
    return {"model_stats": [_model_stats(key, counters) for key, counters in chosen.items()]}


def _model_stats(key: tuple[str, str], c: list[int]) -> dict[str, object]:
    success = c[metrics.SUCCESS]
    return {
        "name": key[0], "version": key[1], "last_inference": c[metrics.LAST_MS],
        "inference_count": c[metrics.ROWS], "execution_count": c[metrics.EXECUTIONS],
        "inference_stats": {
            "success": _duration(success, c[metrics.REQUEST_NS]),
            "fail": _duration(c[metrics.FAILURE], c[metrics.FAILURE_NS]),
            "queue": _duration(success, c[metrics.QUEUE_NS]), "compute_input": _duration(success, c[metrics.INPUT_NS]),
            "compute_infer": _duration(success, c[metrics.INFER_NS]),
            "compute_output": _duration(success, c[metrics.OUTPUT_NS]),
            "cache_hit": _duration(0, 0), "cache_miss": _duration(0, 0),
        },
        "batch_stats": [
            {"batch_size": size, "compute_infer": _duration(c[at], c[at + 1])}
            for size in range(1, MAX_BATCH + 1) if c[at := BATCHES + 2 * (size - 1)]
        ],
    }  # fmt: skip


def _duration(count: int, nanoseconds: int) -> dict[str, int]:
    return {"count": count, "ns": nanoseconds}
