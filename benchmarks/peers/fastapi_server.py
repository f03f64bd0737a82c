"""FastAPI, pydantic and onnxruntime as most tutorials write them: one request, one `session.run`.

MODEL=model.onnx uvicorn fastapi_server:app
"""

import os

import numpy as np
import onnxruntime
from fastapi import FastAPI
from pydantic import BaseModel

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["MODEL"], options)
app = FastAPI()


class Tensor(BaseModel):
    name: str
    shape: list[int]
    datatype: str
    data: list[int]


class Inference(BaseModel):
    inputs: list[Tensor]


@app.get("/health")
async def health() -> None:
    """200 when the session is there: it is made on import."""


@app.post("/infer")
async def infer(inference: Inference) -> dict[str, list[list[float]]]:
    """Not a plain `def`: the hop to a thread costs more than this model."""
    tensor = inference.inputs[0]
    images_BHWC = np.array(tensor.data, np.uint8).reshape(tensor.shape)
    return {"probabilities": session.run(["probabilities"], {"images": images_BHWC})[0].tolist()}
