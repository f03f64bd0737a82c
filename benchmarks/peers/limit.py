"""The limit: onnxruntime alone in a process with one thread. python limit.py MODEL.onnx SECONDS -> one line
of JSON.
"""

import json
import sys
import time

import numpy as np
import onnxruntime

BATCHES = (1, 8, 16, 32, 64)


def main() -> None:
    """Images a second at each batch size and the median latency at batch 1."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
    shape = session.get_inputs()[0].shape[1:]
    images_BHWC = np.random.default_rng(0).integers(0, 256, (max(BATCHES), *shape), np.uint8)
    rates, p50_ms = {}, 0.0
    for batch in BATCHES:
        feed = {"images": images_BHWC[:batch]}
        for _ in range(20):
            session.run(["probabilities"], feed)
        times = []
        end = time.perf_counter() + float(sys.argv[2])
        while (start := time.perf_counter()) < end:
            session.run(["probabilities"], feed)
            times.append(time.perf_counter() - start)
        rates[batch] = batch * len(times) / sum(times)
        if batch == 1:
            p50_ms = float(np.median(times)) * 1e3
    print(json.dumps({"images_per_second": rates, "p50_ms": p50_ms}))


if __name__ == "__main__":
    main()
