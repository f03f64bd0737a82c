"""The gate on batch mates: neither what else is in a batch nor how far it is padded may change an answer.

B batch, K classes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from modelyard.bundle import PARITY_TOLERANCE, read_bundle
from modelyard.data.datasets import Split
from modelyard.errors import ParityError
from modelyard.inference.session import classify, open_session

PADDINGS = (0, 1, 100)
"""Places more than the longest of a batch needs."""
FEW = 5
"""Samples of a shuffled batch."""


def check_mates(bundle: Path, few: Split) -> None:
    """Each sample alone, in shuffled batches, and padded. Raises: ParityError with the numbers."""
    found = read_bundle(bundle)
    session, encoding = open_session(found.model), found.encoding
    alone_BK = np.concatenate(
        [classify(session, encoding.raw(few.take(np.array([row])).in_memory)) for row in range(len(few))]
    )
    shuffled = np.random.default_rng(0).permutation(len(few))
    for rows in (*np.array_split(shuffled, -(-len(few) // FEW)), shuffled):
        raw = encoding.raw(few.take(rows).in_memory)
        for padding in PADDINGS:
            loosened = encoding.loosened(raw, padding)
            answers_BK = classify(session, loosened, len(loosened))[: len(rows)]
            difference = float(np.abs(answers_BK - alone_BK[rows]).max())
            changed = int((answers_BK.argmax(1) != alone_BK[rows].argmax(1)).sum())
            if not difference <= PARITY_TOLERANCE or changed:
                raise ParityError(
                    f"in a batch of {len(rows)}, padded by {padding}, the model gives {changed} other labels "
                    f"than alone; largest difference of a probability {difference:.2e}, allowed "
                    f"{PARITY_TOLERANCE:.0e}; it must not read padding; nothing was registered"
                )
