"""From a torch module to one verified ONNX file."""
