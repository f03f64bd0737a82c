"""Modelyard: from a labelled data set to a trustworthy, fast ONNX model, every architecture side by side."""

__version__ = "0.1.0"
