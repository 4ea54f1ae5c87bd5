"""A fixture for tests of CUDA kernels: on the GPU if there is one, and else on the emulator.

In the ``conftest.py`` at the top of a project's tests, since nothing loads this unasked::

    pytest_plugins = ["gpucnn.emulator.pytest_plugin"]

A test uses what it would use of CuPy::

    def test_scale(cuda):
        kernel = cuda.RawKernel(CODE, "scale")
        x = cuda.asarray(np.ones(100, np.float32))
        kernel((1,), (128,), (x, np.float32(2), np.int32(100)))
        assert cuda.asnumpy(x).tolist() == [2.0] * 100

``--cuda cupy`` and ``--cuda emulator`` choose; ``--emulator-mode`` and ``--emulator-seed`` are for
all kernels that do not say themselves how they are run.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gpucnn.emulator import RawKernel, RawModule
from gpucnn.emulator.engines import MODES, why_unavailable


@dataclass(frozen=True)
class Cuda:
    """What runs kernels, with the names that CuPy has.

    Attributes:
        name: "cupy" or "emulator".
        xp: the module of the arrays, CuPy or NumPy, for ``cuda.xp.zeros(...)`` and the like.
        RawKernel: ``cupy.RawKernel``, or the emulator's.
        RawModule: ``cupy.RawModule``, or the emulator's.
        asarray: copies an array of NumPy's to the device.
        asnumpy: waits for the kernels, and copies an array back.
    """

    name: str
    xp: ModuleType
    RawKernel: Callable[..., Any]
    RawModule: Callable[..., Any]
    asarray: Callable[[NDArray[Any]], Any]
    asnumpy: Callable[[Any], NDArray[Any]]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options."""
    group = parser.getgroup("cuda", "CUDA kernels (gpucnn.emulator)")
    group.addoption(
        "--cuda",
        choices=("auto", "cupy", "emulator"),
        default="auto",
        help="What runs the kernels of the fixture cuda. auto: CuPy if there is a GPU, or else the "
        "emulator.",
    )
    group.addoption(
        "--emulator-mode",
        choices=MODES,
        default="race",
        help="What the emulator checks. Default: race.",
    )
    group.addoption(
        "--emulator-seed",
        type=int,
        default=0,
        metavar="N",
        help="Decides the emulator's order of threads and blocks. Default: 0.",
    )


@pytest.fixture(scope="session")
def cuda(pytestconfig: pytest.Config) -> Cuda:
    """What runs kernels; the test is skipped if nothing can, and fails if that was asked for."""
    chosen = pytestconfig.getoption("cuda")
    why_not_cupy = "" if chosen == "emulator" else _why_no_gpu()
    if chosen != "emulator" and not why_not_cupy:
        return _cupy()
    if chosen == "cupy":
        pytest.fail(f"--cuda cupy: {why_not_cupy}", pytrace=False)
    mode = pytestconfig.getoption("emulator_mode")
    if why_not := why_unavailable(mode):
        if chosen == "emulator":
            pytest.fail(f"--cuda emulator: {why_not}", pytrace=False)
        pytest.skip(f"kernels cannot be run: {why_not_cupy}, and {why_not}")
    return _emulator(mode, pytestconfig.getoption("emulator_seed"))


def _why_no_gpu() -> str:
    """Why CuPy cannot run kernels here; empty if it can."""
    try:
        cupy = importlib.import_module("cupy")
    except ImportError:
        return "CuPy is not installed"
    runtime = cupy.cuda.runtime
    try:
        return "" if runtime.getDeviceCount() else "there is no GPU"
    except runtime.CUDARuntimeError as error:
        return f"there is no GPU that CuPy can use ({error})"


def _cupy() -> Cuda:
    cupy = importlib.import_module("cupy")
    return Cuda("cupy", cupy, cupy.RawKernel, cupy.RawModule, cupy.asarray, cupy.asnumpy)


def _emulator(mode: str, seed: int) -> Cuda:
    kernel, module = (
        functools.partial(factory, mode=mode, seed=seed) for factory in (RawKernel, RawModule)
    )
    return Cuda("emulator", np, kernel, module, _copied, _copied)


def _copied(array: NDArray[Any]) -> NDArray[Any]:
    """A contiguous copy, as one between the host's memory and a GPU's."""
    return np.array(array, order="C")
