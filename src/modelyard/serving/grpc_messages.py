"""Messages of Open Inference Protocol V2 over gRPC as the binary requests and answers of V2 over HTTP."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
from open_inference.grpc import protocol

from modelyard.errors import RequestError, quoted
from modelyard.serving.limits import HEAD_BYTES
from modelyard.serving.tensors import DATATYPES

CONTENTS = {
    "BOOL": "bool_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents", "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents",
}  # fmt: skip
"""V2 datatype -> field of InferTensorContents; FP16 is raw only."""
NUMPY: dict[str, type[np.generic]] = dict(DATATYPES.values())


def read_call(request: Any, max_bytes: int) -> tuple[bytes, bytes]:
    """A ModelInferRequest as the JSON header and the tensor's bytes, at most `max_bytes` where they have to be converted,
    of a binary V2 request. Raises: RequestError.
    """
    if len(request.inputs) != 1 or len(request.raw_input_contents) > 1:
        raise RequestError(f"expected the model's one input, received {len(request.inputs)}")
    (given,) = request.inputs
    tensor_bytes = sum(map(len, request.raw_input_contents)) + given.contents.ByteSize()
    if request.ByteSize() - tensor_bytes > HEAD_BYTES:
        raise RequestError(f"expected at most {HEAD_BYTES} bytes beside the tensor")
    if request.raw_input_contents and given.contents.ListFields():
        raise RequestError(f"input {quoted(given.name)}: expected raw_input_contents or contents, received both")
    tensor = request.raw_input_contents[0] if request.raw_input_contents else _pack(given, max_bytes)
    described = {
        "name": given.name, "shape": list(given.shape), "datatype": given.datatype,
        "parameters": {"binary_data_size": len(tensor)},
    }  # fmt: skip
    header: dict[str, Any] = {"inputs": [described], "parameters": _parameters(request) | {"binary_data_output": True}}
    if request.id:
        header["id"] = request.id
    if request.outputs:
        header["outputs"] = [{"name": one.name, "parameters": _parameters(one)} for one in request.outputs]
    return orjson.dumps(header), tensor


def _pack(given: Any, max_bytes: int) -> bytes:
    """The bytes of typed contents. Raises: RequestError."""
    field = CONTENTS.get(given.datatype)
    if field is None:
        datatype = quoted(given.datatype)
        raise RequestError(f"input {quoted(given.name)}: datatype {datatype} is read from raw_input_contents only")
    values, dtype = getattr(given.contents, field), np.dtype(NUMPY[given.datatype])
    if len(values) * dtype.itemsize > max_bytes:
        raise RequestError(f"input {quoted(given.name)}: expected at most {max_bytes} bytes, received more rows")
    try:
        return np.array(list(values), dtype).tobytes()
    except OverflowError:
        raise RequestError(f"input {quoted(given.name)}: expected {given.datatype} values in range") from None


def _parameters(message: Any) -> dict[str, Any]:
    """Raises: RequestError for a parameter without a value."""
    if empty := [name for name, value in message.parameters.items() if value.WhichOneof("parameter_choice") is None]:
        raise RequestError(f"parameter {quoted(empty[0])} has no value known here; expected a bool, int64 or string")
    return {name: getattr(value, value.WhichOneof("parameter_choice")) for name, value in message.parameters.items()}


def write_answer(header: dict[str, Any], tensors: bytes, *, raw: bool) -> Any:
    """A ModelInferResponse from the JSON header and tensors of a binary V2 answer; raw contents answer raw ones."""
    answer = protocol.ModelInferResponse(
        model_name=header["model_name"], model_version=header["model_version"], id=header.get("id", "")
    )
    for told in header["outputs"]:
        size = told["parameters"]["binary_data_size"]
        output = answer.outputs.add(name=told["name"], datatype=told["datatype"], shape=told["shape"])
        if raw or told["datatype"] not in CONTENTS:
            answer.raw_output_contents.append(tensors[:size])
        else:
            values = np.frombuffer(tensors[:size], NUMPY[told["datatype"]]).tolist()
            getattr(output.contents, CONTENTS[told["datatype"]]).extend(values)
        tensors = tensors[size:]
    return answer
