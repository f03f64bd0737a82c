"""One bundle in one onnxruntime session: opened, checked against its golden samples and timed before it
answers.

B batch, K classes.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.bundle import PARITY_TOLERANCE, Bundle
from modelyard.errors import BundleError, ModelyardError, ParityError
from modelyard.files import hold_folder
from modelyard.inference.session import open_session
from modelyard.samples.names import PROBABILITIES
from modelyard.serving.protocol.inputs import INPUTS, Input
from modelyard.serving.protocol.tensors import WireTensor

BATCH_SIZES = (1, 2, 4, 8, 16, 32)
TUNING_S = 0.01
"""For each size; a slow model takes two runs of each."""
BATCH_COST_S = 20e-6
"""What a batch costs beside onnxruntime, measured: it makes tiny batches a little dearer."""
INLINE_S = 0.004
"""The event loop may stand still this long; longer batches run on a thread."""


class Engine:
    """A model version that is ready to answer."""

    def __init__(self, bundle: Bundle, *, provider: str, tuning_s: float = TUNING_S) -> None:
        """Raises: BundleError, ParityError or DeviceError when the version must not be served."""
        self.folder, self.provider = bundle.folder, provider
        hold_folder(bundle.folder, self)
        self.manifest = bundle.manifest
        self._session = open_session(bundle.model, provider=provider, threads=1)
        self.input, self.outputs = _signature(self._session, bundle)
        self._names = [output.name for output in self.outputs]
        self._check_signature()
        golden = self._check_golden(bundle)
        self.input = self.input.measured_by(golden)
        self.mergeable = self._rows_are_independent(golden[:3])
        self.row_cap, self.row_seconds = self._tune(self.input.usual(golden), tuning_s)
        self.inline_rows = int(INLINE_S / self.row_seconds)

    def run(self, rows: NDArray[Any], extent: int = 1) -> list[NDArray[Any]]:
        """All outputs for rows [B, ...], none worth more than `extent` usual ones; more than `row_cap` go
        through in pieces, so that memory stays small.
        """
        if len(rows) * extent <= self.row_cap or not self.mergeable:
            return self._session.run(self._names, {self.input.name: rows})  # type: ignore[no-any-return]
        pieces, order = self.input.pieces(rows, self.row_cap)
        found = [self._session.run(self._names, {self.input.name: piece}) for piece in pieces]
        return [np.concatenate(parts)[order] for parts in zip(*found, strict=True)]

    def _check_signature(self) -> None:
        taken = self.manifest.signature.input
        row_shape = tuple(-1 if extent is None else extent for extent in taken.shape[1:])
        expected = {spec.name: spec.row_shape for spec in self.manifest.signature.outputs}
        found = {output.name: output.row_shape for output in self.outputs if output.name in expected}
        if self.input.name != taken.name or self.input.row_shape != row_shape or found != expected:
            raise BundleError(
                f"{self.folder}: expected input {taken.name!r} {list(row_shape)} and outputs "
                f"{expected}, received {self.input.name!r} {list(self.input.row_shape)} and {found}; "
                "export it again"
            )

    def _check_golden(self, bundle: Bundle) -> NDArray[Any]:
        try:
            golden, expected_BK = bundle.samples()
            at = self._names.index(PROBABILITIES)  # one by one: the best batch is not known yet
            singles = (self._session.run(self._names, {self.input.name: row[None]})[at] for row in golden)
            found_BK = np.concatenate([*singles])
        except ModelyardError:
            raise
        except Exception as error:  # onnxruntime's and numpy's errors have no common base
            raise BundleError(
                f"{self.folder}: cannot answer its golden samples ({error}); export it again"
            ) from error
        if found_BK.shape != expected_BK.shape or not np.allclose(
            found_BK, expected_BK, rtol=0, atol=PARITY_TOLERANCE
        ):
            raise ParityError(
                f"{self.folder} does not give its golden answers within {PARITY_TOLERANCE} here; "
                "export it again"
            )
        return golden

    def _rows_are_independent(self, rows: NDArray[Any]) -> bool:
        """Whether a batch gives each row the answer it gets alone, as short as it is; if not, requests are
        never merged.
        """
        together = self._session.run(self._names, {self.input.name: rows})
        alone = [self._session.run(self._names, {self.input.name: self.input.alone(row)}) for row in rows]
        return all(
            len(found) == len(rows)
            and np.allclose(found, np.concatenate(singles), rtol=1e-3, atol=PARITY_TOLERANCE)
            for found, singles in zip(together, zip(*alone, strict=True), strict=True)
        )

    def _tune(self, usual: NDArray[Any], tuning_s: float) -> tuple[int, float]:
        """The smallest batch within 3 % of the best throughput, and its seconds for a row.

        Stops at the first size that brings less: larger ones would only take memory and time.
        """
        cap, row_seconds = 1, float("inf")
        for size in BATCH_SIZES if self.mergeable else BATCH_SIZES[:1]:
            seconds = (
                self._best_seconds(np.resize(usual, (size, *usual.shape[1:])), tuning_s) + BATCH_COST_S
            ) / size
            if seconds > 0.97 * row_seconds:
                break
            cap, row_seconds = size, seconds
        return cap, row_seconds

    def _best_seconds(self, rows: NDArray[Any], tuning_s: float) -> float:
        """The quickest of some runs: other work on the machine only ever adds time."""
        feed = {self.input.name: rows}
        self._session.run(self._names, feed)
        best, end = float("inf"), time.perf_counter() + tuning_s
        while (start := time.perf_counter()) < end or best == float("inf"):
            self._session.run(self._names, feed)
            best = min(best, time.perf_counter() - start)
        return best


def _signature(session: Any, bundle: Bundle) -> tuple[Input, tuple[WireTensor, ...]]:
    signature, inputs = bundle.manifest.signature, session.get_inputs()
    outputs = [WireTensor.from_graph(node.name, node.type, node.shape) for node in session.get_outputs()]
    if len(inputs) != 1:
        raise BundleError(f"{bundle.folder}: expected one input, received {len(inputs)}; export it again")
    found = INPUTS[signature.encoding]().of_graph(inputs[0], signature.form)
    return found.fed(bundle.encoding), tuple(outputs)
