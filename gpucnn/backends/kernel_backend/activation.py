"""Launches of the elementwise activations."""

from __future__ import annotations

import numpy as np

from gpucnn.backends.interface.activation import ActivationOperations
from gpucnn.backends.interface.arrays import Array
from gpucnn.backends.kernel_backend.arrays import KernelArrays

_FILE = "activation.cu"


class KernelActivation(KernelArrays, ActivationOperations):
    """Four neighbouring elements a thread."""

    def _relu_forward(self, x: Array, y: Array) -> None:
        self._launch_elements(_FILE, "relu_forward", x.size, (x, y))

    def _relu_input_grad(self, dy: Array, y: Array, dx: Array) -> None:
        self._launch_elements(_FILE, "relu_input_grad", y.size, (dy, y, dx))

    def _leaky_relu_forward(self, x: Array, slope: float, y: Array) -> None:
        self._launch_elements(_FILE, "leaky_relu_forward", x.size, (x, np.float32(slope), y))

    def _leaky_relu_input_grad(self, dy: Array, x: Array, slope: float, dx: Array) -> None:
        arguments = (dy, x, np.float32(slope), dx)
        self._launch_elements(_FILE, "leaky_relu_input_grad", x.size, arguments)

    def _sigmoid_forward(self, x: Array, y: Array) -> None:
        self._launch_elements(_FILE, "sigmoid_forward", x.size, (x, y))

    def _sigmoid_input_grad(self, dy: Array, y: Array, dx: Array) -> None:
        self._launch_elements(_FILE, "sigmoid_input_grad", y.size, (dy, y, dx))

    def _tanh_forward(self, x: Array, y: Array) -> None:
        self._launch_elements(_FILE, "tanh_forward", x.size, (x, y))

    def _tanh_input_grad(self, dy: Array, y: Array, dx: Array) -> None:
        self._launch_elements(_FILE, "tanh_input_grad", y.size, (dy, y, dx))

    def _add(self, a: Array, b: Array, total: Array) -> None:
        self._launch_elements(_FILE, "add", a.size, (a, b, total))
