"""Backends by name: ``numpy``, ``emulator``, ``cuda``, or ``auto``."""

from __future__ import annotations

import os
import sys

from gpucnn.backends.base import Backend
from gpucnn.errors import BackendError
from gpucnn.registry import did_you_mean

NAMES = ("auto", "numpy", "emulator", "cuda")
ENVIRONMENT_VARIABLE = "GPUCNN_BACKEND"


def get_backend(name: str | None = None, precision: str = "fp32") -> Backend:
    """The backend of this name.

    Args:
        name: one of NAMES; None for what GPUCNN_BACKEND says, or else "auto". "auto" takes CUDA
            where a GPU answers and NumPy elsewhere, and says which on stderr.
        precision: "fp32" is on every backend.

    Raises:
        BackendError: an unknown name, or a backend that cannot work here, and what is missing.
    """
    if name is None:
        name = os.environ.get(ENVIRONMENT_VARIABLE) or "auto"
    if name == "auto":
        name = _first_that_works()
    if name == "numpy":
        from gpucnn.backends.numpy_backend import NumpyBackend

        return NumpyBackend(precision)
    if name == "emulator":
        from gpucnn.backends.devices.emulator.device import EmulatorDevice
        from gpucnn.backends.kernel_backend import KernelBackend

        return KernelBackend(EmulatorDevice(), precision)
    if name in NAMES:
        raise BackendError(why_unavailable(name))
    raise BackendError(f'there is no backend "{name}"; {did_you_mean(name, NAMES)}')


def why_unavailable(name: str) -> str:
    """One sentence on why a backend cannot be used here; empty where it can."""
    if name == "numpy":
        return ""
    if name == "emulator":
        from gpucnn.backends.devices.emulator.device import why_unavailable

        return why_unavailable()
    return f"the {name} backend is not part of this version of gpucnn; use --backend numpy"


def _first_that_works() -> str:
    name = "numpy" if why_unavailable("cuda") else "cuda"
    print(f"backend: {name} (chosen automatically)", file=sys.stderr)
    return name
