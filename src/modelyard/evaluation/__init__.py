"""Measuring a model: metrics, calibration, significance, pictures."""
