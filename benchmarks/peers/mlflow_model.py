"""Writes the MLflow model that `mlflow models serve` reads. python mlflow_model.py MODEL.onnx FOLDER"""

import sys

import mlflow.onnx
import numpy as np
import onnx
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec

graph = onnx.load(sys.argv[1])
height, width, channels = (axis.dim_value for axis in graph.graph.input[0].type.tensor_type.shape.dim[1:])
classes = graph.graph.output[0].type.tensor_type.shape.dim[1].dim_value
inputs: list[ColSpec | TensorSpec] = [TensorSpec(np.dtype(np.uint8), (-1, height, width, channels), "images")]
outputs: list[ColSpec | TensorSpec] = [
    TensorSpec(np.dtype(np.float32), (-1, classes), name) for name in ("logits", "probabilities")
]
mlflow.onnx.save_model(
    graph,
    sys.argv[2],
    signature=ModelSignature(Schema(inputs), Schema(outputs)),
    onnx_execution_providers=["CPUExecutionProvider"],
    onnx_session_options={
        "execution_mode": "sequential",
        "intra_op_num_threads": 1,
        "inter_op_num_threads": 1,
    },
    save_as_external_data=False,
)
