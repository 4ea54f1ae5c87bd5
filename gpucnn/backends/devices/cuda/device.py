"""An NVIDIA GPU: arrays in CuPy's memory pool, cubins of our own, launches on one stream."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.devices.cache import Cache
from gpucnn.backends.devices.cuda.availability import why_unavailable
from gpucnn.backends.devices.cuda.memory import out_of_memory
from gpucnn.backends.devices.cuda.nvrtc import Program, architecture_of
from gpucnn.backends.devices.cuda.store import ProgramStore
from gpucnn.backends.devices.device import Argument, Device, DeviceLimits, Grid, Kernel, Module
from gpucnn.backends.devices.source import KernelSource
from gpucnn.backends.interface.arrays import Array
from gpucnn.errors import BackendError
from gpucnn.processor import available_cores

_NULL = np.uintp(0)
_in_use = threading.local()


@dataclass
class _Kernel:
    """A function on the GPU, and how much dynamic shared memory it may be given so far."""

    name: str
    function: Any
    dynamic_shared_bytes: int


class CudaDevice(Device):
    """One GPU.

    CuPy's settings hold, such as CUPY_GPU_MEMORY_LIMIT. CuPy's current device and stream are set
    to this one's, in each thread that calls, and stay so.

    Args:
        ordinal: which GPU, as the CUDA runtime counts them.
        cache: where compiled kernels are kept; None for the user's own folder.

    Raises:
        BackendError: this GPU cannot be used, and why.
    """

    name = "cuda"
    runs_ahead = True

    def __init__(self, ordinal: int = 0, cache: Cache | None = None) -> None:
        reason = why_unavailable(ordinal)
        if reason:
            raise BackendError(reason)
        self._cupy = cupy = importlib.import_module("cupy")
        self.ordinal = ordinal
        self._device = cupy.cuda.Device(ordinal)
        attributes = self._device.attributes
        self.limits = DeviceLimits(
            threads=attributes["MaxThreadsPerBlock"],
            shared_bytes=attributes["MaxSharedMemoryPerBlock"],
            dynamic_shared_bytes=attributes["MaxSharedMemoryPerBlockOptin"],
            multiprocessors=attributes["MultiProcessorCount"],
            cache_bytes=attributes["L2CacheSize"],
        )
        self.architecture = architecture_of(int(self._device.compute_capability))
        self._store = ProgramStore(self.architecture, cache)
        self._has_announced = False
        with self._device:
            # Only a stream like this one can be captured as a graph.
            self.stream = cupy.cuda.Stream(non_blocking=True)
        self._use()

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """An array from CuPy's pool, whose memory begins on boundaries of 512 bytes."""
        self._use()
        try:
            return self._cupy.empty(shape, dtype)
        except self._cupy.cuda.memory.OutOfMemoryError as error:
            raise self._out_of_memory(shape, dtype) from error

    def asarray(self, array: NDArray[Any]) -> Array:
        """A copy on the GPU; through CuPy's pinned buffers, so the host does not wait for it."""
        self._use()
        try:
            # CuPy fills arrays without axes by a kernel that it would have to compile.
            return self._cupy.array(array.reshape(-1)).reshape(array.shape)
        except self._cupy.cuda.memory.OutOfMemoryError as error:
            raise self._out_of_memory(array.shape, array.dtype) from error

    def to_numpy(self, array: Array) -> NDArray[Any]:
        """A copy on the host, after all work before it."""
        self._use()
        try:
            copy: NDArray[Any] = array.get(stream=self.stream)
        except self._failures() as error:
            raise self._has_failed(error) from error
        return copy

    def compile(self, source: KernelSource) -> Module:
        """Loads the file's kernels onto the GPU, compiled now if they never were before."""
        program = self._store.find(source)
        if program is None:
            self._announce()
            program = self._store.compile(source)
        return self._load(source, program)

    def compile_all(self, sources: Iterable[KernelSource]) -> None:
        """Compiles what is not in the cache, on all cores, with a progress bar on a terminal."""
        missing = [source for source in dict.fromkeys(sources) if self._store.find(source) is None]
        if not missing:
            return
        from tqdm import tqdm

        with ThreadPoolExecutor(available_cores()) as pool:
            compiled = pool.map(self._store.compile, missing)
            label = f"compiling kernels for {self.architecture}, once"
            for _ in tqdm(compiled, label, len(missing), leave=False, disable=None):
                pass

    def launch(
        self,
        kernel: Kernel,
        grid: Grid,
        block: Grid,
        shared_bytes: int,
        arguments: Sequence[Argument],
    ) -> None:
        """Puts a kernel onto the stream and returns."""
        self._use()
        if shared_bytes > kernel.dynamic_shared_bytes:
            self._allow_shared_bytes(kernel, shared_bytes)
        passed = tuple([self._passed(kernel, argument) for argument in arguments])
        try:
            kernel.function(grid, block, passed, shared_bytes, self.stream)
        except self._failures() as error:
            raise BackendError(
                f"{kernel.name} could not be launched with a grid of {grid}, blocks of {block} and "
                f"{shared_bytes} bytes of shared memory: {error}"
            ) from error

    def synchronise(self) -> None:
        """Waits until the stream is empty."""
        try:
            self.stream.synchronize()
        except self._failures() as error:
            raise self._has_failed(error) from error

    def _use(self) -> None:
        """Makes device and stream CuPy's current ones, which it keeps for each thread."""
        if getattr(_in_use, "device", None) is not self:
            self._device.use()
            self.stream.use()
            _in_use.device = self

    def _passed(self, kernel: _Kernel, argument: Argument) -> Any:
        """The argument as CuPy passes it on unchanged."""
        if isinstance(argument, np.generic):
            return argument
        if argument is None:
            return _NULL
        if isinstance(argument, self._cupy.ndarray):
            if argument.data.device_id == self.ordinal or not argument.size:
                return argument
            raise BackendError(
                f"{kernel.name} was given an array of GPU {argument.data.device_id}; it runs on "
                f"GPU {self.ordinal}"
            )
        # Python's own numbers would be passed as a double or a long long, whatever is expected.
        raise TypeError(
            f"{kernel.name} was given {argument!r}, a {type(argument).__name__}; kernels take "
            "arrays of their device, NumPy scalars and None"
        )

    def _load(self, source: KernelSource, program: Program) -> Module:
        self._use()
        module = self._cupy.cuda.function.Module()
        try:
            module.load(program.cubin)
            return {
                name: _Kernel(
                    name,
                    module.get_function(lowered),
                    self.limits.shared_bytes - program.usage[name].shared_bytes,
                )
                for name, lowered in program.names.items()
            }
        except self._failures() as error:
            raise BackendError(
                f"{source} was compiled for {self.architecture}, but the driver does not load it: "
                f"{error}"
            ) from error

    def _allow_shared_bytes(self, kernel: _Kernel, shared_bytes: int) -> None:
        if shared_bytes > self.limits.dynamic_shared_bytes:
            raise BackendError(
                f"{kernel.name} asks for {shared_bytes} bytes of shared memory; GPU "
                f"{self.ordinal} has {self.limits.dynamic_shared_bytes} for a block"
            )
        driver = self._cupy.cuda.driver
        attribute = driver.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        driver.funcSetAttribute(kernel.function.ptr, attribute, shared_bytes)
        kernel.dynamic_shared_bytes = shared_bytes

    def _announce(self) -> None:
        """Says on a terminal, once, what takes so long."""
        if not self._has_announced and sys.stderr.isatty():
            print(f"compiling kernels for {self.architecture}, once", file=sys.stderr)
        self._has_announced = True

    def _out_of_memory(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> BackendError:
        asked = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        return out_of_memory(self._cupy, asked, f"an array of shape {shape}, {dtype}")

    def _failures(self) -> tuple[type[Exception], ...]:
        cuda = self._cupy.cuda
        return cuda.driver.CUDADriverError, cuda.runtime.CUDARuntimeError

    def _has_failed(self, error: Exception) -> BackendError:
        return BackendError(
            f"the GPU stopped with an error in the work before: {error}; --backend emulator "
            "finds a kernel's bad access and names it"
        )
