"""Serving released bundles with onnxruntime over HTTP: reaches neither torch nor MLflow nor Prefect."""
