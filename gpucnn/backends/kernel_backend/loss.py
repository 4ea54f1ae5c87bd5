"""Launches of the losses, their gradients and the running totals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpucnn.backends.devices.device import Argument
from gpucnn.backends.interface.arrays import Array
from gpucnn.backends.interface.loss import LossOperations
from gpucnn.backends.kernel_backend.arrays import KernelArrays
from gpucnn.launch.elementwise import THREADS, WARP
from gpucnn.launch.launch import as_int

_CROSS_ENTROPY = "softmax_cross_entropy.cu"
_SQUARED_ERROR = "mean_squared_error.cu"
_METRICS = "metrics.cu"

_CLASSES_A_THREAD = 4


class KernelLoss(KernelArrays, LossOperations):
    """A block a row of scores, with more threads where there are more classes."""

    def _softmax_cross_entropy_forward(
        self,
        logits: Array,
        labels: Array,
        label_smoothing: float,
        losses: Array,
        probabilities: Array,
    ) -> None:
        shares = np.float32(1.0 - label_smoothing), np.float32(label_smoothing)
        arguments = (logits, labels, *shares, losses, probabilities)
        self._launch_rows(_CROSS_ENTROPY, "softmax_cross_entropy_forward", logits, arguments)

    def _softmax_cross_entropy_input_grad(
        self,
        probabilities: Array,
        labels: Array,
        label_smoothing: float,
        scale: float,
        dlogits: Array,
    ) -> None:
        label_share = np.float32(1.0 - label_smoothing)
        class_share = np.float32(label_smoothing / probabilities.shape[1])
        arguments = (probabilities, labels, label_share, class_share, np.float32(scale), dlogits)
        self._launch_rows(
            _CROSS_ENTROPY, "softmax_cross_entropy_input_grad", probabilities, arguments
        )

    def _softmax(self, logits: Array, probabilities: Array) -> None:
        self._launch_rows(_CROSS_ENTROPY, "softmax", logits, (logits, probabilities))

    def _mean_squared_error_forward(self, predictions: Array, labels: Array, losses: Array) -> None:
        arguments = (predictions, labels, losses)
        self._launch_rows(_SQUARED_ERROR, "mean_squared_error_forward", predictions, arguments)

    def _mean_squared_error_input_grad(
        self, predictions: Array, labels: Array, scale: float, gradient: Array
    ) -> None:
        slope = np.float32(2.0 * scale / predictions.shape[1])
        arguments = (predictions, labels, slope, gradient)
        self._launch_rows(_SQUARED_ERROR, "mean_squared_error_input_grad", predictions, arguments)

    def _accumulate_metrics(
        self, totals: Array, losses: Array, scores: Array, labels: Array, guard: Array | None
    ) -> None:
        right = self.empty(labels.shape, "uint8")
        self._launch_rows(
            _METRICS, "rows_right", scores, (scores, labels, right), SUM_THREADS=THREADS
        )
        self._launch(
            _METRICS,
            "accumulate_metrics",
            (1,),
            (losses, right, totals, guard, as_int(scores.shape[0], "N")),
            (THREADS,),
            **_constants(scores),
            SUM_THREADS=THREADS,
        )

    def _launch_rows(
        self,
        file: str,
        function: str,
        scores: Array,
        arguments: Sequence[Argument],
        **constants: int,
    ) -> None:
        """Launches a kernel with a block a row of scores (N, K)."""
        constants = _constants(scores) | constants
        block = (constants["ROW_THREADS"],)
        self._launch(file, function, scores.shape[:1], arguments, block, **constants)


def _constants(scores: Array) -> dict[str, int]:
    """The classes, and whole warps of threads for them, a power of two up to THREADS."""
    K = int(as_int(scores.shape[1], "K"))
    threads = WARP
    while threads < THREADS and threads * _CLASSES_A_THREAD < K:
        threads *= 2
    return {"K": K, "ROW_THREADS": threads}
