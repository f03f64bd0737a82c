"""BentoML with its adaptive batching. MODEL=model.onnx bentoml serve bentoml_service:Classifier"""

import os

import bentoml
import numpy as np
import onnxruntime


@bentoml.service(workers=int(os.environ.get("WORKERS", "1")), traffic={"timeout": 30})
class Classifier:
    """Images in, probabilities out; requests that wait are run together."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(os.environ["MODEL"], options)

    @bentoml.api(batchable=True, max_batch_size=32, max_latency_ms=1000)  # type: ignore[untyped-decorator]
    def classify(self, images: np.ndarray) -> np.ndarray:
        probabilities_BK: np.ndarray = self.session.run(
            ["probabilities"], {"images": images.astype(np.uint8)}
        )[0]
        return probabilities_BK
