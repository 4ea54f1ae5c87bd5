"""What the device at hand can do at most: bytes and FP32 operations a second, measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gpucnn.backends.base import Backend
from gpucnn.backends.devices.device import Device
from gpucnn.backends.devices.source import KernelSource
from gpucnn.backends.kernel_backend import KernelBackend
from gpucnn.backends.numpy_backend import NumpyBackend
from gpucnn.bench.random_inputs import random_array
from gpucnn.bench.timing import Clock, Run
from gpucnn.errors import BackendError
from gpucnn.processor import available_cores

_THREADS = 256
_VECTOR, _COPY_VECTORS, _CHAINS = 4, 4, 8
SOURCE = KernelSource(
    "ceiling.cu", (("VECTOR", _VECTOR), ("COPY_VECTORS", _COPY_VECTORS), ("CHAINS", _CHAINS))
)
"""The kernels that reach what a device can do."""
_FLOATS = {"cuda": 1 << 28, "emulator": 1 << 20, "numpy": 1 << 24}
"""Of each array that is copied, a power of two: more than any cache holds, or not for long."""
_MATRIX = 2048
_LONG_ENOUGH = 0.02
"""Seconds of a run that measures arithmetic."""
_REPETITIONS = 7


@dataclass(frozen=True)
class Ceilings:
    """The two rates that bound every operation.

    Attributes:
        bandwidth: bytes a second, those read and those written, of a copy.
        arithmetic: FP32 operations a second; a multiply-add is two.
        cores: of the CPU that does the work; 0 on a GPU.
    """

    bandwidth: float
    arithmetic: float
    cores: int = 0

    @property
    def unit(self) -> tuple[str, float]:
        """The unit for rates of arithmetic on such a device, and how many a second that is."""
        return ("TFLOP/s", 1e12) if self.arithmetic >= 1e12 else ("GFLOP/s", 1e9)

    @property
    def text(self) -> str:
        """Both of them, for people."""
        unit, size = self.unit
        a_core = f" on {self.cores} cores" if self.cores else ""
        return (
            f"at most {self.bandwidth / 1e9:.4g} GB/s copied and {self.arithmetic / size:.3g} "
            f"{unit} of FP32{a_core}, measured"
        )

    def seconds(self, flops: int, traffic: int) -> float:
        """The least time for so many operations and bytes, if either is at its ceiling."""
        return max(flops / self.arithmetic, traffic / self.bandwidth)


def measure_ceilings(backend: Backend, clock: Clock) -> Ceilings:
    """Measures both, on an idle device.

    A device's are a copy and a chain of multiply-adds by kernels of our own; NumPy's are a copy
    on all threads and a large matrix product, its BLAS's best.

    Raises:
        BackendError: a backend of another kind.
    """
    if isinstance(backend, KernelBackend):
        return Ceilings(
            _copy_rate(backend.device, clock),
            _multiply_add_rate(backend.device, clock),
            0 if backend.name == "cuda" else available_cores(),
        )
    if isinstance(backend, NumpyBackend):
        return Ceilings(
            _numpy_copy_rate(backend, clock),
            _matrix_rate(backend, clock),
            backend.workers.threads,
        )
    raise BackendError(f"there is no measure of what the {backend.name} backend can do at most")


def _best(run: Run, clock: Clock) -> float:
    """The shortest of a few repetitions: a ceiling is what can be reached."""
    clock.seconds(run)
    return min(clock.seconds(run) for _ in range(_REPETITIONS))


def _copy_rate(device: Device, clock: Clock) -> float:
    count = _FLOATS[device.name]
    x = device.asarray(random_array(np.random.default_rng(0), (count,)))
    y = device.empty((count,), np.dtype(np.float32))
    kernel = device.compile(SOURCE)["copy"]
    blocks = count // (_THREADS * _VECTOR * _COPY_VECTORS)

    def run() -> None:
        device.launch(kernel, (blocks, 1, 1), (_THREADS, 1, 1), 0, (x, y))

    return 2 * int(x.nbytes) / _best(run, clock)


def _multiply_add_rate(device: Device, clock: Clock) -> float:
    blocks = 16 * device.limits.multiprocessors
    run_rounds = multiply_add(device, blocks, _THREADS)

    def run(rounds: int) -> float:
        return _best(lambda: run_rounds(rounds), clock)

    rounds = 64
    while (seconds := run(rounds)) < _LONG_ENOUGH:
        rounds *= 2
    return 2 * _CHAINS * rounds * blocks * _THREADS / seconds


def multiply_add(device: Device, blocks: int, threads: int) -> Callable[[int], None]:
    """Puts so many rounds of multiply-adds, in each of so many threads, onto the device."""
    kernel = device.compile(SOURCE)["multiply_add"]
    sums = device.empty((blocks * threads,), np.dtype(np.float32))
    # The numbers stay near 1.
    factor, addend = np.float32(0.999), np.float32(0.001)

    def run(rounds: int) -> None:
        device.launch(
            kernel, (blocks, 1, 1), (threads, 1, 1), 0, (sums, factor, addend, np.int32(rounds))
        )

    return run


def _numpy_copy_rate(backend: NumpyBackend, clock: Clock) -> float:
    count, pieces = _FLOATS["numpy"], backend.workers.threads
    x = random_array(np.random.default_rng(0), (pieces, count // pieces))
    y = np.empty_like(x)

    def run() -> None:
        backend.workers.run(lambda piece: np.copyto(y[piece], x[piece]), pieces)

    return 2 * x.nbytes / _best(run, clock)


def _matrix_rate(backend: NumpyBackend, clock: Clock) -> float:
    generator = np.random.default_rng(0)
    a, b = (random_array(generator, (_MATRIX, _MATRIX)) for _ in range(2))
    x, w = backend.asarray(a), backend.asarray(b)
    return 2 * _MATRIX**3 / _best(lambda: backend.matmul(x, w), clock)
