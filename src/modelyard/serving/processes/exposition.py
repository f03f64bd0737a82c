"""The counters as Prometheus text under Triton's names, and as the V2 statistics extension."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable, Iterator

from modelyard.serving.models.served import Served
from modelyard.serving.processes import metrics
from modelyard.serving.processes.metrics import (
    BUCKETS_S,
    FAILURE_REASONS,
    FAILURES,
    HISTOGRAM,
    REASONS,
    WORKER_BYTES,
    Totals,
    own,
)

PROMETHEUS_TYPE = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
_SERIES: tuple[tuple[str, str, str, Callable[[list[int]], int]], ...] = (
    ("nv_inference_request_success", "counter", "Answered inference requests", lambda c: c[metrics.SUCCESS]),
    ("nv_inference_count", "counter", "Rows inferred", lambda c: c[metrics.ROWS]),
    ("nv_inference_exec_count", "counter", "Batches executed", lambda c: c[metrics.EXECUTIONS]),
    (
        "nv_inference_request_duration_us",
        "counter",
        "Answering, in all",
        lambda c: c[metrics.REQUEST_NS] // 1000,
    ),
    (
        "nv_inference_queue_duration_us",
        "counter",
        "Waiting for the model",
        lambda c: c[metrics.QUEUE_NS] // 1000,
    ),
    (
        "nv_inference_compute_input_duration_us",
        "counter",
        "Assembling batches",
        lambda c: c[metrics.INPUT_NS] // 1000,
    ),
    (
        "nv_inference_compute_infer_duration_us",
        "counter",
        "In onnxruntime",
        lambda c: c[metrics.INFER_NS] // 1000,
    ),
    (
        "nv_inference_compute_output_duration_us",
        "counter",
        "Splitting batches",
        lambda c: c[metrics.OUTPUT_NS] // 1000,
    ),
    (
        "nv_inference_pending_request_count",
        "gauge",
        "Requests that wait or run",
        lambda c: c[metrics.PENDING],
    ),
)
_LATENCY = "modelyard_request_duration_seconds"


def prometheus_text(memory: mmap.mmap, served: Iterable[Served], *, is_ready: bool) -> bytes:
    """The counters in Prometheus exposition format 0.0.4."""
    counted = {
        _labels(model=key[0], version=key[1]): known for key, (known, _) in metrics.totals(memory).items()
    }
    lines: list[str] = []
    for name, kind, told, read in _SERIES:
        lines += _family(name, kind, told, ((labels, read(counters)) for labels, counters in counted.items()))
    lines += _family(
        "nv_inference_request_failure",
        "counter",
        "Inference requests without an answer",
        (
            (f'{labels},reason="{reason}"', count)
            for labels, counters in counted.items()
            for reason, count in zip(FAILURE_REASONS, counters[FAILURES:], strict=False)
        ),
    )
    lines += [f"# HELP {_LATENCY} From request to answer, in this server", f"# TYPE {_LATENCY} histogram"]
    for labels, counters in counted.items():
        lines += _histogram(labels, counters)
    return "\n".join([*lines, *_server(memory, served, is_ready=is_ready), ""]).encode()


def _server(memory: mmap.mmap, served: Iterable[Served], *, is_ready: bool) -> Iterator[str]:
    """The counters that belong to no model."""
    sums = [
        sum(fields)
        for fields in zip(*(own(memory, at) for at in range(len(memory) // WORKER_BYTES)), strict=True)
    ]
    answers = ((f'class="{at}xx"', sums[at]) for at in range(2, 6))
    yield from _family("modelyard_answers_total", "counter", "Answers of all routes", answers)
    refusals = ((f'reason="{reason}"', sums[metrics.REFUSED + at]) for at, reason in enumerate(REASONS))
    yield from _family("modelyard_refused_requests_total", "counter", "Requests that were refused", refusals)
    cards = ((_labels(model=one.name, version=one.version, alias=one.pointer.alias), 1) for one in served)
    yield from _family(
        "modelyard_served_version", "gauge", "1 for the version that answers under a model's name", cards
    )
    yield from _family("modelyard_ready", "gauge", "What /v2/health/ready says", [("", int(is_ready))])


def _family(name: str, kind: str, told: str, samples: Iterable[tuple[str, float]]) -> list[str]:
    return [
        f"# HELP {name} {told}",
        f"# TYPE {name} {kind}",
        *(f"{name}{{{labels}}} {value}" for labels, value in samples),
    ]


def _histogram(labels: str, counters: list[int]) -> list[str]:
    lines: list[str] = []
    below = 0
    for offset, bound in enumerate([*map(str, BUCKETS_S), "+Inf"]):
        below += counters[HISTOGRAM + offset]
        lines.append(f'{_LATENCY}_bucket{{{labels},le="{bound}"}} {below}')
    total_s = counters[metrics.REQUEST_NS] / 1e9
    return [*lines, f"{_LATENCY}_sum{{{labels}}} {total_s:.6f}", f"{_LATENCY}_count{{{labels}}} {below}"]


def _labels(**labels: str) -> str:
    escaped = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
    return ",".join(f'{name}="{value.translate(escaped)}"' for name, value in labels.items())


def statistics(totals: Totals, name: str | None = None, version: str | None = None) -> dict[str, object]:
    """`model_stats` of the V2 statistics extension, for all or one model and version."""
    chosen = {
        key: total for key, total in totals.items() if name in {None, key[0]} and version in {None, key[1]}
    }
    return {"model_stats": [_model_stats(key, *total) for key, total in chosen.items()]}


def _model_stats(key: tuple[str, str], c: list[int], batches: dict[int, list[int]]) -> dict[str, object]:
    success = c[metrics.SUCCESS]
    return {
        "name": key[0],
        "version": key[1],
        "last_inference": c[metrics.LAST_MS],
        "inference_count": c[metrics.ROWS],
        "execution_count": c[metrics.EXECUTIONS],
        "inference_stats": {
            "success": _duration(success, c[metrics.REQUEST_NS]),
            "fail": _duration(sum(c[FAILURES:HISTOGRAM]), c[metrics.FAILURE_NS]),
            "queue": _duration(success, c[metrics.QUEUE_NS]),
            "compute_input": _duration(success, c[metrics.INPUT_NS]),
            "compute_infer": _duration(success, c[metrics.INFER_NS]),
            "compute_output": _duration(success, c[metrics.OUTPUT_NS]),
            "cache_hit": _duration(0, 0),
            "cache_miss": _duration(0, 0),
        },
        "batch_stats": [
            {
                "batch_size": size,
                "compute_input": _duration(count, input_ns),
                "compute_infer": _duration(count, infer_ns),
                "compute_output": _duration(count, output_ns),
            }
            for size, (count, input_ns, infer_ns, output_ns) in sorted(batches.items())
        ],
    }


def _duration(count: int, nanoseconds: int) -> dict[str, int]:
    return {"count": count, "ns": nanoseconds}
