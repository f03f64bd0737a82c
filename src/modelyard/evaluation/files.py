"""The files of an evaluation that other stages read."""

from __future__ import annotations

EVALUATION_FILE, TEST_FILE = "evaluation.json", "test.npz"
"""Temperature and metrics; each test image's probabilities, and whether the label is right."""
