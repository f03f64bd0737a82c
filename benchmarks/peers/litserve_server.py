"""LitServe with its own batching: up to 32 requests or 1 ms. MODEL=model.onnx python litserve_server.py PORT
WORKERS
"""

import os
import sys
from typing import Any

import litserve
import numpy as np
import onnxruntime


class Classifier(litserve.LitAPI):  # type: ignore[misc]
    """One image a request."""

    def setup(self, device: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(os.environ["MODEL"], options)

    def decode_request(self, request: dict[str, Any]) -> Any:
        return np.array(request["image"], np.uint8)

    def batch(self, inputs: list[Any]) -> Any:
        return np.stack(inputs)

    def predict(self, x: Any) -> Any:
        return self.session.run(["probabilities"], {"images": x})[0]

    def unbatch(self, output: Any) -> Any:
        return list(output)

    def encode_response(self, output: Any) -> dict[str, list[float]]:
        return {"probabilities": output.tolist()}


if __name__ == "__main__":
    api = Classifier(max_batch_size=32, batch_timeout=0.001)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=int(sys.argv[2]))
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
