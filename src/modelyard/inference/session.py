"""onnxruntime sessions with explicit threads and providers. Needs neither torch nor MLflow.

B batch, K classes; of a measurement R rounds, C calls.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from modelyard.bundle import MODEL_BYTES
from modelyard.errors import BundleError, DeviceError
from modelyard.files import read_regular
from modelyard.machine.cores import usable_cores
from modelyard.samples.names import PROBABILITIES

ROUNDS, LEAST_ROUNDS, LEAST_CALLS, WARM_UP = 8, 3, 2, 5
"""Of a measurement, and the least of it (calls in a round) where a call takes long; calls before it."""


def open_session(
    model: Path | bytes, *, provider: str = "CPUExecutionProvider", threads: int = 0
) -> onnxruntime.InferenceSession:
    """A session on exactly `provider`, of a model that is one file: no tensor is read from another.

    Raises: BundleError when onnxruntime cannot load it, DeviceError when onnxruntime would use another
    provider.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or usable_cores()
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # plans memory for one shape; batches have many, and each plan stays
    options.log_severity_level = 3
    options.add_session_config_entry(
        "session.load_model_format", "ONNX"
    )  # not onnxruntime's own format, which it would guess
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", os.devnull
    )  # not the cwd
    if provider not in onnxruntime.get_available_providers():
        raise DeviceError(
            f"onnxruntime has no {provider}; available: {', '.join(onnxruntime.get_available_providers())}"
        )
    name = "the model" if isinstance(model, bytes) else model
    try:
        content = model if isinstance(model, bytes) else read_regular(model, MODEL_BYTES)
        session = onnxruntime.InferenceSession(content, options, providers=[provider])
    except Exception as error:  # onnxruntime's errors have no common base
        raise BundleError(f"onnxruntime cannot load {name} ({str(error)[:300]}); export it again") from error
    if session.get_providers()[0] != provider:
        raise DeviceError(
            f"asked for {provider}, onnxruntime uses {session.get_providers()[0]}; see modelyard doctor"
        )
    return session


def classify(
    session: onnxruntime.InferenceSession, raw: NDArray[Any], batch_size: int = 256
) -> NDArray[np.float32]:
    """Probabilities [B, K] for raw samples. Raises: BundleError when the model fails."""
    batches = [raw[start : start + batch_size] for start in range(0, len(raw), batch_size)]
    try:
        (taken,) = session.get_inputs()
        return np.concatenate([session.run([PROBABILITIES], {taken.name: batch})[0] for batch in batches])
    except Exception as error:  # onnxruntime's errors have no common base
        raise BundleError(f"the model cannot answer ({str(error)[:300]}); export it again") from error


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of a call. What else runs on a machine only ever adds to them."""

    p50: float
    p99: float
    """Median and 99th percentile, each of its quietest round."""
    p50_high: float
    p99_high: float
    """Upper quartiles of the rounds: far above where something else ran."""


def latencies_ms(calls: Sequence[Callable[[], object]], *, seconds: float = 0.25) -> list[Latency]:
    """How long each call takes, measured for `seconds` each after a warm-up.

    They alternate in rounds, so that what else runs meets all of them and not one.
    """
    for call in calls:
        for _ in range(WARM_UP):
            call()
    end = time.perf_counter() + 2 * seconds * len(calls)
    rounds: list[list[tuple[float, float]]] = []
    while len(rounds) < ROUNDS and (len(rounds) < LEAST_ROUNDS or time.perf_counter() < end):
        rounds.append([_percentiles_ms(call, seconds / ROUNDS) for call in calls])
    rounds_RC2 = np.array(rounds)
    found_C4 = np.concatenate([rounds_RC2.min(0), np.quantile(rounds_RC2, 0.75, axis=0)], axis=1)
    return [Latency(*found_4) for found_4 in found_C4.tolist()]


def _percentiles_ms(call: Callable[[], object], seconds: float) -> tuple[float, float]:
    """Median and 99th percentile of one round."""
    call()  # not counted: threads of the call before may still spin
    times: list[float] = []
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end or len(times) < LEAST_CALLS:
        call()
        times.append((time.perf_counter() - start) * 1e3)
    return float(np.median(times)), float(np.percentile(times, 99))
