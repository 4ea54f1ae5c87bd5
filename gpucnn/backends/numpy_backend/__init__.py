"""The operations in plain NumPy, threaded: the CPU fallback and the other half of every check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.base import Backend
from gpucnn.backends.numpy_backend import activation, clipping, guard, loss, matrix, optimizer  # noqa: F401
from gpucnn.backends.numpy_backend.augmentation import NumpyAugmentation
from gpucnn.backends.numpy_backend.convolution import NumpyConvolution
from gpucnn.backends.numpy_backend.dropout import NumpyDropout
from gpucnn.backends.numpy_backend.implementations import IMPLEMENTATIONS
from gpucnn.backends.numpy_backend.memory import MemoryPool
from gpucnn.backends.numpy_backend.normalisation import NumpyNormalisation
from gpucnn.backends.numpy_backend.pooling import NumpyPooling
from gpucnn.backends.numpy_backend.workers import Workers
from gpucnn.errors import BackendError
from gpucnn.operations.problem import Problem

_DTYPES = {"fp32": np.float32, "fp64": np.float64}
_Class = TypeVar("_Class", bound=type[Backend])


def _without_warnings(backend: _Class) -> _Class:
    """Infinities and NaN pass silently, as on a GPU: the trainer looks for them."""
    for name in Backend.__abstractmethods__:
        setattr(backend, name, np.errstate(all="ignore")(getattr(backend, name)))
    return backend


@_without_warnings
class NumpyBackend(
    NumpyConvolution,
    NumpyPooling,
    NumpyNormalisation,
    NumpyDropout,
    NumpyAugmentation,
    Backend,
):
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

    def _carry_out(
        self,
        problem: Problem,
        arrays: Sequence[NDArray[Any] | None],
        numbers: Mapping[str, float],
    ) -> None:
        IMPLEMENTATIONS[type(problem)](self, problem, *arrays, **numbers)
