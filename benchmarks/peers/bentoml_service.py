"""BentoML with its adaptive batching. MODEL=model.onnx bentoml serve bentoml_service:Classifier"""

import os
from typing import Annotated, Any

import bentoml
import numpy as np
import onnxruntime
from bentoml.validators import DType


@bentoml.service(workers=int(os.environ.get("WORKERS", "1")), traffic={"timeout": 30})
class Classifier:
    """Images in, probabilities out; requests that wait are run together."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(os.environ["MODEL"], options)

    @bentoml.api(batchable=True, max_batch_size=32, max_latency_ms=1000)  # type: ignore[untyped-decorator]
    def classify(self, images: Annotated[np.ndarray[Any, Any], DType("uint8")]) -> np.ndarray[Any, Any]:
        probabilities_BK: np.ndarray[Any, Any] = self.session.run(["probabilities"], {"images": images})[0]
        return probabilities_BK
