"""Prefect flows: when the steps run and in what order."""
