"""What the device at hand can do at most: bytes and FP32 operations a second, measured.

There are two rates for bytes. Data that the caches hold from one run to the next move faster than
memory delivers them, so operations on such data are compared with a rate of the caches. A rate is
the best of several ways to move bytes, or of several products: a ceiling is what can be reached.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from gpucnn.backends.base import Backend
from gpucnn.backends.devices.device import Device
from gpucnn.backends.devices.source import KernelSource
from gpucnn.backends.kernel_backend import KernelBackend
from gpucnn.backends.numpy_backend import NumpyBackend
from gpucnn.bench.host_memory import cache_bytes, cached_floats, memory_floats, movements
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
_FLOATS = {"cuda": 1 << 28, "emulator": 1 << 20}
"""Of each array that a kernel copies, a power of two: on a GPU more than any cache holds."""
_BLOCK_FLOATS = _THREADS * _VECTOR * _COPY_VECTORS
_CACHED_RUNS = 50
_MATRICES = (1024, 2048)
_LONG_ENOUGH = 0.02
"""Seconds of a run that measures arithmetic."""
_REPETITIONS = 3


@dataclass(frozen=True)
class Ceilings:
    """The rates that bound every operation.

    Attributes:
        bandwidth: bytes a second, those read and those written, from and to memory.
        arithmetic: FP32 operations a second; a multiply-add is two.
        cores: of the CPU that does the work; 0 on a GPU.
        cached_bandwidth: bytes a second from and to the caches; 0 if nothing is taken to be cached.
        cache_bytes: of the last-level caches.
    """

    bandwidth: float
    arithmetic: float
    cores: int = 0
    cached_bandwidth: float = 0.0
    cache_bytes: int = 0

    @property
    def unit(self) -> tuple[str, float]:
        """The unit for rates of arithmetic on such a device, and how many a second that is."""
        return ("TFLOP/s", 1e12) if self.arithmetic >= 1e12 else ("GFLOP/s", 1e9)

    @property
    def text(self) -> str:
        """All of them, for people."""
        unit, size = self.unit
        a_core = f" on {self.cores} cores" if self.cores else ""
        cached = (
            f" ({self.cached_bandwidth / 1e9:.4g} from the caches)" if self.cached_bandwidth else ""
        )
        return (
            f"at most {self.bandwidth / 1e9:.4g} GB/s of memory{cached} and "
            f"{self.arithmetic / size:.3g} {unit} of FP32{a_core}, measured"
        )

    def seconds(self, flops: int, traffic: int, cached: bool = False) -> float:
        """The least time for that many operations and bytes, if either is at its ceiling.

        Args:
            flops: operations.
            traffic: bytes.
            cached: whether the caches hold the data.
        """
        bandwidth = self.cached_bandwidth if cached else self.bandwidth
        return max(flops / self.arithmetic, traffic / bandwidth)

    def at_least(self, other: Ceilings) -> Ceilings:
        """The higher of each of two measurements of the same device's rates."""
        return replace(
            self,
            bandwidth=max(self.bandwidth, other.bandwidth),
            arithmetic=max(self.arithmetic, other.arithmetic),
            cached_bandwidth=max(self.cached_bandwidth, other.cached_bandwidth),
        )

    def reached(self, flop_rate: float, byte_rate: float, cached: bool) -> Ceilings:
        """Ceilings that are no lower than what an operation has reached.

        Args:
            flop_rate: operations a second.
            byte_rate: bytes a second.
            cached: whether the caches held its data.
        """
        bandwidth, in_cache = (0.0, byte_rate) if cached else (byte_rate, 0.0)
        return self.at_least(Ceilings(bandwidth, flop_rate, cached_bandwidth=in_cache))

    def as_json(self) -> dict[str, float | int | None]:
        """All of them."""
        return {
            "gb_per_second": self.bandwidth / 1e9,
            "cached_gb_per_second": self.cached_bandwidth / 1e9 or None,
            "cache_bytes": self.cache_bytes or None,
            "tflops": self.arithmetic / 1e12,
            "cores": self.cores or None,
        }


def measure_ceilings(
    backend: Backend, clock: Clock, others: Sequence[Callable[[int], Run]] = ()
) -> Ceilings:
    """Measures all of them, on an idle device.

    A device's are copies and a chain of multiply-adds by kernels of our own. NumPy's are the best
    of several ways to move bytes on all threads, in arrays several times as large as the caches and
    in small ones, and of several matrix products.

    Args:
        backend: what runs.
        clock: what measures.
        others: other ways to multiply two matrices of (n, n) on the same device, by n.

    Raises:
        BackendError: a backend of another kind.
    """
    if isinstance(backend, KernelBackend):
        device = backend.device
        cached = device.machine.cache_bytes // 16 // _BLOCK_FLOATS * _BLOCK_FLOATS
        return Ceilings(
            _copy_rate(device, clock, _FLOATS[device.name]),
            _multiply_add_rate(device, clock),
            0 if backend.name == "cuda" else available_cores(),
            _copy_rate(device, clock, cached, _CACHED_RUNS) if cached else 0.0,
            device.machine.cache_bytes,
        )
    if isinstance(backend, NumpyBackend):
        return Ceilings(
            _movement_rate(backend, clock, memory_floats(3) // backend.workers.threads),
            _matrix_rate(backend, clock, others),
            backend.workers.threads,
            max(_movement_rate(backend, clock, floats) for floats in cached_floats()),
            cache_bytes(),
        )
    raise BackendError(f"there is no measure of what the {backend.name} backend can do at most")


def _best(run: Run, clock: Clock, times: int = 1) -> float:
    """The shortest of a few repetitions."""
    return min(clock.seconds(run, times) for _ in range(_REPETITIONS))


def _copy_rate(device: Device, clock: Clock, count: int, times: int = 1) -> float:
    x = device.asarray(random_array(np.random.default_rng(0), (count,)))
    y = device.empty((count,), np.dtype(np.float32))
    kernel = device.compile(SOURCE)["copy"]
    blocks = count // _BLOCK_FLOATS

    def run() -> None:
        device.launch(kernel, (blocks, 1, 1), (_THREADS, 1, 1), 0, (x, y))

    return 2 * int(x.nbytes) / _best(run, clock, times)


def _multiply_add_rate(device: Device, clock: Clock) -> float:
    blocks = 16 * (device.machine.multiprocessors if device.runs_ahead else 1)
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


def _movement_rate(backend: NumpyBackend, clock: Clock, floats: int) -> float:
    """Bytes a second, by the best way to move them.

    Args:
        backend: whose threads move them.
        clock: what measures.
        floats: of each array of a thread.
    """
    arrays = np.zeros((3, backend.workers.threads, floats), np.float32)
    arrays.fill(1.0)  # or else all of them would be one page of zeros
    return max(moved / _best(run, clock) for moved, run in movements(backend.workers, arrays))


def _matrix_rate(
    backend: NumpyBackend, clock: Clock, others: Sequence[Callable[[int], Run]]
) -> float:
    generator = np.random.default_rng(0)
    best = 0.0
    for n in _MATRICES:
        x, w = (backend.asarray(random_array(generator, (n, n))) for _ in range(2))
        runs: list[Run] = [partial(backend.matmul, x, w), *(other(n) for other in others)]
        best = max(best, *(2 * n**3 / _best(run, clock) for run in runs))
    return best
