"""MLServer with a runtime of its own kind. MODEL=model.onnx mlserver start FOLDER, with this file on
PYTHONPATH.
"""

import os

import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Classifier(MLModel):  # type: ignore[misc]
    """V2 JSON in and out."""

    async def load(self) -> bool:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(os.environ["MODEL"], options)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        images_BHWC = NumpyCodec.decode_input(payload.inputs[0])
        probabilities_BK = self.session.run(["probabilities"], {"images": images_BHWC})[0]
        output = NumpyCodec.encode_output("probabilities", probabilities_BK)
        return InferenceResponse(model_name=self.name, outputs=[output])
