"""The operations in plain NumPy, threaded: the CPU fallback and the other half of every check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from gpucnn.backends.base import Backend
from gpucnn.backends.interface.arrays import Array
from gpucnn.backends.numpy_backend import (  # noqa: F401
    activation,
    augmentation,
    clipping,
    convolution,
    dropout,
    guard,
    loss,
    matrix,
    normalisation,
    optimizer,
    pooling,
    regression,
)
from gpucnn.backends.numpy_backend.implementations import IMPLEMENTATIONS
from gpucnn.backends.numpy_backend.memory import MemoryPool
from gpucnn.backends.numpy_backend.workers import Workers
from gpucnn.errors import BackendError
from gpucnn.operations.problem import Problem

_DTYPES = {"fp32": np.float32, "fp64": np.float64}


class NumpyBackend(Backend):
    """NumPy on the CPU.

    BLAS is held to one thread from here on, in the whole process: the backend's own threads use
    the cores.

    Args:
        precision: "fp32", or "fp64" for gradient checks.
        threads: how many; None for as many as the process has cores. Results do not depend on it.

    Raises:
        BackendError: another precision.
    """

    name = "numpy"

    def __init__(self, precision: str = "fp32", threads: int | None = None) -> None:
        if precision not in _DTYPES:
            raise BackendError(
                f'the numpy backend has no precision "{precision}"; it has {", ".join(_DTYPES)}'
            )
        self.precision = precision
        self.dtype = np.dtype(_DTYPES[precision])
        self.memory = MemoryPool()
        self.workers = Workers(threads)

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike | None = None) -> NDArray[Any]:
        """A contiguous array with undefined contents, from the pool."""
        return self.memory.empty(shape, self.dtype if dtype is None else dtype)

    def asarray(self, array: ArrayLike, dtype: DTypeLike | None = None) -> NDArray[Any]:
        """A contiguous array; the given one if it fits already, so not always a copy."""
        host = np.asarray(array)
        if dtype is None:
            dtype = self.dtype if np.issubdtype(host.dtype, np.floating) else host.dtype
        with np.errstate(all="ignore"):  # of numbers that FP32 does not have
            return np.ascontiguousarray(host, dtype)

    def _write(self, array: Array, host: NDArray[Any]) -> None:
        np.asarray(array)[...] = host

    def to_numpy(self, array: Array) -> NDArray[Any]:
        """A copy."""
        return np.array(array, order="C")

    def _carry_out(
        self, problem: Problem, arrays: Sequence[Array | None], numbers: Mapping[str, float]
    ) -> None:
        with np.errstate(all="ignore"):  # NaN and infinity pass silently, as on a GPU
            IMPLEMENTATIONS[type(problem)](self, problem, *arrays, **numbers)
