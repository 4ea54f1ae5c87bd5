"""The backend: all operations of a training step behind one interface."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gpucnn.backends.interface.activation import ActivationOperations
from gpucnn.backends.interface.augmentation import AugmentationOperations
from gpucnn.backends.interface.convolution import ConvolutionOperations
from gpucnn.backends.interface.dropout import DropoutOperations
from gpucnn.backends.interface.guard import GuardOperations
from gpucnn.backends.interface.loss import LossOperations
from gpucnn.backends.interface.matrix import MatrixOperations
from gpucnn.backends.interface.normalisation import NormalisationOperations
from gpucnn.backends.interface.optimizer import OptimizerOperations
from gpucnn.backends.interface.pooling import PoolingOperations
from gpucnn.backends.interface.regression import RegressionOperations


class Backend(
    ConvolutionOperations,
    PoolingOperations,
    NormalisationOperations,
    ActivationOperations,
    DropoutOperations,
    MatrixOperations,
    LossOperations,
    RegressionOperations,
    OptimizerOperations,
    GuardOperations,
    AugmentationOperations,
):
    """Every operation, with one signature and one set of checks on every backend.

    Operations take and return the backend's own arrays; ``asarray`` and ``to_numpy`` are the
    boundary. Results are deterministic: the same arguments give the same bits, run after run, on
    one device. An array that an operation returns is new unless ``out`` was given.
    """

    runs_ahead = False
    """Whether the host runs ahead of the device, so that reading an array means waiting."""

    kernels: Path | None = None
    """A folder of the user's whose kernel files replace ours of the same names; None for none."""

    def compile_ahead(self, run: Callable[[Backend], object]) -> None:
        """Prepares what a run will launch, before its first step; nothing to do on a CPU.

        Args:
            run: is called with a backend whose arrays have no contents, and which only records
                what its operations would launch.
        """

    def free_memory(self) -> int:
        """Bytes that arrays may still take of the device's own memory; 0 if it has none."""
        return 0

    def hardware(self) -> dict[str, str]:
        """What the device is and what drives it, for records; empty if it is the processor."""
        return {}

    def is_idle(self) -> bool:
        """Whether all work handed to the device is done; always on a CPU."""
        return True

    def synchronise(self) -> None:
        """Waits until all work handed to the device is done; nothing to do on a CPU."""
