"""The operations as launches of kernels, on whatever device runs them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gpucnn.backends.base import Backend
from gpucnn.backends.devices.device import Device
from gpucnn.backends.devices.planner import PlanningDevice
from gpucnn.backends.kernel_backend.activation import KernelActivation
from gpucnn.backends.kernel_backend.augmentation import KernelAugmentation
from gpucnn.backends.kernel_backend.convolution import KernelConvolution
from gpucnn.backends.kernel_backend.dropout import KernelDropout
from gpucnn.backends.kernel_backend.guard import KernelGuard
from gpucnn.backends.kernel_backend.loss import KernelLoss
from gpucnn.backends.kernel_backend.matrix import KernelMatrix
from gpucnn.backends.kernel_backend.normalisation import KernelNormalisation
from gpucnn.backends.kernel_backend.optimizer import KernelOptimizer
from gpucnn.backends.kernel_backend.pooling import KernelPooling
from gpucnn.errors import BackendError


class KernelBackend(
    KernelConvolution,
    KernelPooling,
    KernelNormalisation,
    KernelActivation,
    KernelDropout,
    KernelMatrix,
    KernelLoss,
    KernelOptimizer,
    KernelGuard,
    KernelAugmentation,
    Backend,
):
    """Our own CUDA, on a device: an NVIDIA GPU, or the emulator.

    Args:
        device: what runs the kernels; the backend has its name.
        precision: "fp32".

    Raises:
        BackendError: another precision.
    """

    def __init__(self, device: Device, precision: str = "fp32") -> None:
        if precision != "fp32":
            raise BackendError(
                f'the {device.name} backend has no precision "{precision}"; it has fp32'
            )
        self.device = device
        self.name = device.name
        self.precision = precision
        self.dtype = np.dtype(np.float32)
        self.runs_ahead = device.runs_ahead
        self.memory_bytes = device.limits.memory_bytes
        self._modules = {}
        self._launched = {}

    def hardware(self) -> dict[str, str]:
        """What the device is, and what drives it."""
        return self.device.hardware()

    def compile_ahead(self, run: Callable[[Backend], object]) -> None:
        """Compiles the kernels of a run side by side, with a progress bar where it takes long."""
        device = PlanningDevice(self.device.limits, self.name)
        planner = KernelBackend(device, self.precision)
        planner.kernels = self.kernels
        run(planner)
        self.device.compile_all(device.sources)
