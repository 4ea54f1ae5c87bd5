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


class Backend(
    ConvolutionOperations,
    PoolingOperations,
    NormalisationOperations,
    ActivationOperations,
    DropoutOperations,
    MatrixOperations,
    LossOperations,
    OptimizerOperations,
    GuardOperations,
    AugmentationOperations,
):
    """Every operation, with one signature and one set of checks on every backend.

    Operations take and return the backend's own arrays; ``asarray`` and ``to_numpy`` are the
    border. Results are deterministic: the same arguments give the same bits, run after run, on
    one device. An array that an operation returns is new unless ``out`` was given.
    """

    runs_ahead = False
    """Whether the host goes on while the device works, so that reading an array costs a wait."""

    kernels: Path | None = None
    """A folder of the user's whose kernel files take the place of ours; None without one."""

    def compile_ahead(self, run: Callable[[Backend], object]) -> None:
        """Makes ready what a run will launch, before its first step; nothing to do on a CPU.

        Args:
            run: is called with a backend whose arrays have no contents and whose operations only
                take note of what they would launch.
        """

    def hardware(self) -> dict[str, str]:
        """What the device is, and what drives it, for records; empty where it is the processor."""
        return {}

    def synchronise(self) -> None:
        """Waits until all work handed to the device is done; nothing to do on a CPU."""
