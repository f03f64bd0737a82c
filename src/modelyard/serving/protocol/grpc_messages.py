"""Translating Open Inference Protocol V2 over gRPC to binary requests and answers of V2 over HTTP."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
from tritonclient.grpc import service_pb2 as protocol

from modelyard.errors import RequestError, quoted
from modelyard.serving.http.limits import HEAD_BYTES
from modelyard.serving.protocol.inputs import Input, offer
from modelyard.serving.protocol.tensors import DATATYPES

CONTENTS = {
    "BOOL": "bool_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents", "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents",
}  # fmt: skip
"""V2 datatype -> field of InferTensorContents; FP16 has raw contents only."""
TAKEN = CONTENTS | {"BYTES": "bytes_contents"}
"""Those of inputs; BYTES are answered raw."""
NUMPY: dict[str, type[np.generic]] = dict(DATATYPES.values())


def read_call(request: Any, spec: Input, max_rows: int, remaining_s: float | None) -> tuple[bytes, bytes]:
    """A ModelInferRequest as the JSON header and the tensor's bytes of a binary V2 request for at most
    `max_rows` rows; the call's deadline is a timeout, if it has none that is shorter. Raises: RequestError.
    """
    if (count := max(len(request.inputs), len(request.raw_input_contents))) > 1 or not request.inputs:
        raise RequestError(f"expected the model's one input, received {count}")
    (given,) = request.inputs
    tensor_bytes = sum(map(len, request.raw_input_contents)) + given.contents.ByteSize()
    if request.ByteSize() - tensor_bytes > HEAD_BYTES:
        raise RequestError(f"expected at most {HEAD_BYTES} bytes beside the tensor")
    if request.raw_input_contents and given.contents.ListFields():
        raise RequestError(
            f"input {quoted(given.name)}: expected raw_input_contents or contents, received both"
        )
    tensor = b"".join(request.raw_input_contents)
    spec = offer(spec, given.name)
    if given.datatype == spec.datatype and not request.raw_input_contents:
        tensor = _pack(given, spec, max_rows)
    parameters = _parameters(request) | {"binary_data_output": True}
    if remaining_s is not None and type(parameters.get("timeout", 0)) is int:
        remaining_us = max(int(remaining_s * 1e6), 1)
        parameters["timeout"] = min(parameters.get("timeout") or remaining_us, remaining_us)
    described = {
        "name": given.name, "shape": list(given.shape), "datatype": given.datatype,
        "parameters": _parameters(given) | {"binary_data_size": len(tensor)},
    }  # fmt: skip
    header: dict[str, Any] = {"inputs": [described], "parameters": parameters}
    if request.id:
        header["id"] = request.id
    if request.outputs:
        binary = {"binary_data": True}
        header["outputs"] = [
            {"name": one.name, "parameters": _parameters(one) | binary} for one in request.outputs
        ]
    return orjson.dumps(header), tensor


def _pack(given: Any, spec: Input, max_rows: int) -> bytes:
    """The bytes of typed contents. Raises: RequestError."""
    field = TAKEN.get(given.datatype)
    if field is None:
        raise RequestError(
            f"input {quoted(given.name)}: {given.datatype} is read from raw_input_contents only"
        )
    if others := [told.name for told, _ in given.contents.ListFields() if told.name != field]:
        raise RequestError(
            f"input {quoted(given.name)}: expected {given.datatype} in {field}, received {others[0]}"
        )
    return spec.packed(getattr(given.contents, field), max_rows)


def _parameters(message: Any) -> dict[str, Any]:
    """Parameters as JSON values; null for a kind that is unknown here, which the reader of the header
    refuses.
    """
    chosen = {name: value.WhichOneof("parameter_choice") for name, value in message.parameters.items()}
    return {name: choice and getattr(message.parameters[name], choice) for name, choice in chosen.items()}


def write_answer(header: dict[str, Any], tensors: bytes, *, raw: bool) -> Any:
    """A ModelInferResponse from the JSON header and tensors of a binary V2 answer; raw contents answer raw
    ones.
    """
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
