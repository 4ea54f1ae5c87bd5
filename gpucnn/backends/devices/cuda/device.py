"""An NVIDIA GPU: arrays in CuPy's memory pool, cubins of our own, launches on one stream."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.devices.cuda.availability import cuda_version, driver_release, why_unavailable
from gpucnn.backends.devices.cuda.cupy_types import CupyArray, Pointer, RawKernel, Stream
from gpucnn.backends.devices.cuda.failures import explained, failures, launch_failed, load_failed
from gpucnn.backends.devices.cuda.importing import import_cupy
from gpucnn.backends.devices.cuda.nvrtc import Program, architecture_of, compiler_build
from gpucnn.backends.devices.cuda.staging import Staging
from gpucnn.backends.devices.cuda.store import ProgramStore
from gpucnn.backends.devices.cuda.uploads import Uploads
from gpucnn.backends.devices.device import Argument, Device, Grid, Kernel, Module
from gpucnn.backends.devices.source import KernelSource
from gpucnn.backends.interface.arrays import Array
from gpucnn.emulator.cache import Cache
from gpucnn.emulator.scratch import scratch_folder
from gpucnn.errors import BackendError
from gpucnn.launch.machine import Machine
from gpucnn.processor import thread_on_each_core
from gpucnn.progress import progress
from gpucnn.units import byte_text

_NULL = np.uintp(0)


@dataclass
class _Kernel:
    """A ``cupy.RawKernel``, its parameters, and the dynamic shared memory that it may use now."""

    name: str
    raw: RawKernel
    parameter_count: int
    dynamic_shared_bytes: int


class CudaDevice(Device):
    """One GPU.

    CuPy's settings apply, such as CUPY_GPU_MEMORY_LIMIT. CuPy's current device and stream are set
    to this one's in each thread that calls, and stay set. All devices of one GPU share a stream, so
    arrays may go from one to another. None of CuPy's own operations on arrays is used, because CuPy
    would compile a kernel for each.

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
        self._cupy = cupy = import_cupy()
        self._failures = failures(cupy)
        self._current_stream = cupy.cuda.get_current_stream
        self.ordinal = ordinal
        self._device = cupy.cuda.Device(ordinal)
        attributes = self._device.attributes
        try:
            self.stream = _stream(cupy, ordinal)
            memory_bytes = _memory_bytes(cupy, ordinal)
        except self._failures as error:
            raise BackendError(f"GPU {ordinal} cannot be used: {error}") from error
        self.architecture = architecture_of(int(self._device.compute_capability))
        self.machine = Machine(
            self.architecture,
            attributes["MultiProcessorCount"],
            attributes["MaxThreadsPerMultiProcessor"],
            attributes["MaxRegistersPerMultiprocessor"],
            attributes["MaxSharedMemoryPerMultiprocessor"],
            attributes["MaxThreadsPerBlock"],
            attributes["MaxSharedMemoryPerBlock"],
            attributes["MaxSharedMemoryPerBlockOptin"],
            attributes["L2CacheSize"],
            memory_bytes,
        )
        self._store = ProgramStore(self.architecture, cache)
        self._has_announced = False
        self._use()
        self._staging = Staging(cupy, self.stream)
        self._uploads = Uploads(
            cupy, self.stream, lambda size: self.empty((size,), np.dtype(np.uint8))
        )

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> CupyArray:
        """An array from CuPy's pool, whose memory begins on boundaries of 512 bytes."""
        try:
            self._use()
            array: CupyArray = self._cupy.empty(shape, dtype)
            return array
        except self._failures as error:
            asked = byte_text(int(np.prod(shape, dtype=np.int64)) * dtype.itemsize)
            doing = f"{asked} for an array of shape {shape}, {dtype}, do not fit"
            raise explained(self._cupy, error, doing) from error

    def zeros(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> CupyArray:
        """As ``empty``, and then set to zero by the GPU."""
        array = self.empty(shape, dtype)
        try:
            array.data.memset_async(0, array.nbytes, self.stream)
        except self._failures as error:
            raise self._copy_error(error) from error
        return array

    def asarray(self, array: NDArray[Any]) -> CupyArray:
        """A copy on the GPU, for which the host does not wait."""
        there = self.empty(array.shape, array.dtype)
        self.write(there, array)
        return there

    def upload(self, array: NDArray[Any]) -> CupyArray:
        """A copy on the GPU, made while it works; the next copy but one overwrites it."""
        try:
            self._use()
            return self._uploads.upload(array)
        except self._failures as error:
            raise self._copy_error(error) from error

    def write(self, array: Array, host: NDArray[Any]) -> None:
        """Copies a host array to the GPU, for which the host does not wait."""
        try:
            self._use()
            self._staging.copy(_own(array).data, host)
        except self._failures as error:
            raise self._copy_error(error) from error

    def address(self, array: Array) -> int:
        """Where the array's memory begins."""
        return _own(array).data.ptr

    def to_numpy(self, array: Array) -> NDArray[Any]:
        """A copy on the host, after all work before it."""
        there = _own(array)
        if there.flags.c_contiguous:
            host: NDArray[Any] = np.empty(there.shape, there.dtype)
            self._read(there.data, host)
            return host
        # Copies all memory from the first to the last element and picks the elements on the host:
        # CuPy would compile a kernel to gather them.
        before, after = _reach(there)
        memory = np.empty(before + after, np.uint8)
        self._read(there.data - before, memory)
        return np.ndarray(there.shape, there.dtype, memory, before, there.strides).copy()

    def _read(self, source: Pointer, host: NDArray[Any]) -> None:
        """Fills a contiguous array of the host from memory of the GPU, and waits for it."""
        try:
            self._use()
            source.copy_to_host_async(host.ctypes.data, host.nbytes, self.stream)
            self.stream.synchronize()
        except self._failures as error:
            raise self._copy_error(error) from error

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
        label = f"compiling kernels for {self.architecture}, once"
        with progress(label, len(missing)) as advance, thread_on_each_core() as pool:
            jobs = [pool.submit(self._store.compile, source) for source in missing]
            for job in as_completed(jobs):
                job.result()
                advance(1)

    def launch(
        self,
        kernel: Kernel,
        grid: Grid,
        block: Grid,
        shared_bytes: int,
        arguments: Sequence[Argument],
    ) -> None:
        """Puts a kernel onto the stream and returns."""
        if not isinstance(kernel, _Kernel):
            raise TypeError(f"{kernel!r} is not a kernel of a GPU")
        passed = tuple(self._passed(kernel, argument) for argument in arguments)
        try:
            self._use()
            if shared_bytes > kernel.dynamic_shared_bytes:
                self._allow_shared_bytes(kernel, shared_bytes)
            kernel.raw(grid, block, passed, shared_mem=shared_bytes)  # onto the current stream
        except self._failures as error:
            doing = (
                f"{kernel.name} could not be launched with a grid of {grid}, blocks of {block} and "
                f"{shared_bytes} bytes of shared memory"
            )
            raise launch_failed(self._cupy, error, doing) from error

    def free_memory(self) -> int:
        """Bytes that are free on the GPU, and those in CuPy's pool that nothing uses.

        If CUPY_GPU_MEMORY_LIMIT limits the pool, no more than the pool may still take.
        """
        try:
            self._use()
            free, _ = self._device.mem_info
        except self._failures as error:
            raise self._copy_error(error) from error
        pool = self._cupy.get_default_memory_pool()
        free += pool.free_bytes()
        if limit := pool.get_limit():
            free = min(free, max(0, limit - pool.used_bytes()))
        return int(free)

    def hardware(self) -> dict[str, str]:
        """The GPU's name, and the versions of its driver, CUDA, NVRTC and CuPy."""
        runtime = self._cupy.cuda.runtime
        return {
            "gpu": runtime.getDeviceProperties(self.ordinal)["name"].decode(),
            "ordinal": str(self.ordinal),
            "architecture": self.architecture,
            "memory_bytes": str(self.machine.memory_bytes),
            "driver": driver_release(),
            "driver_cuda": cuda_version(runtime.driverGetVersion()),
            "runtime_cuda": cuda_version(runtime.runtimeGetVersion()),
            "nvrtc": compiler_build(),
            "cupy": self._cupy.__version__,
        }

    def is_idle(self) -> bool:
        """Whether the stream is empty; it is not after an error, which the next call reports."""
        return self.stream.done

    def synchronise(self) -> None:
        """Waits until the stream is empty."""
        try:
            self.stream.synchronize()
        except self._failures as error:
            raise self._copy_error(error) from error

    def _use(self) -> None:
        """Makes device and stream CuPy's current ones, which it keeps for each thread.

        CuPy's pool reuses memory in the order of the current stream. CuPy is asked each time which
        one that is, because a ``with stream:`` of the user's changes it.
        """
        if self._current_stream() is not self.stream:  # of the current device, so of this one
            self._device.use()
            self.stream.use()

    def _passed(self, kernel: _Kernel, argument: Argument) -> CupyArray | np.generic:
        """The argument as CuPy passes it on unchanged."""
        if argument is None:
            return _NULL
        if isinstance(argument, np.generic):
            return argument
        if isinstance(argument, self._cupy.ndarray):
            array = _own(argument)
            if array.data.device_id == self.ordinal or not array.size:
                return array
            raise BackendError(
                f"{kernel.name} was given an array of GPU {array.data.device_id}; it runs on "
                f"GPU {self.ordinal}"
            )
        # Python's own numbers would be passed as a double or a long long, whatever is expected.
        raise TypeError(
            f"{kernel.name} was given {argument!r}, a {type(argument).__name__}; kernels take "
            "arrays of their device, NumPy scalars and None"
        )

    def _load(self, source: KernelSource, program: Program) -> Module:
        cubin = program.cubin
        try:
            self._use()
            with scratch_folder() as folder:
                # CuPy keeps modules by their paths: a path must not lead to another one later.
                path = folder / f"{hashlib.sha256(cubin).hexdigest()}.cubin"
                path.write_bytes(cubin)
                module = self._cupy.RawModule(path=str(path))
                return {
                    name: _Kernel(
                        name,
                        module.get_function(lowered),
                        program.parameters[name],
                        self.machine.block_shared_bytes - program.usage[name].shared_bytes,
                    )
                    for name, lowered in program.names.items()
                }
        except OSError as error:
            raise BackendError(
                f"{source} cannot be loaded, because no temporary file can be written "
                f"({error.strerror}); set TMPDIR to a folder on a disk with some space"
            ) from error
        except self._failures as error:
            doing = (
                f"{source} was compiled for {self.architecture}, but the driver does not load it"
            )
            raise load_failed(self._cupy, error, doing) from error

    def _allow_shared_bytes(self, kernel: _Kernel, shared_bytes: int) -> None:
        if shared_bytes > self.machine.block_dynamic_shared_bytes:
            raise BackendError(
                f"{kernel.name} asks for {shared_bytes} bytes of shared memory; GPU "
                f"{self.ordinal} has {self.machine.block_dynamic_shared_bytes} for a block"
            )
        kernel.raw.max_dynamic_shared_size_bytes = shared_bytes
        kernel.dynamic_shared_bytes = shared_bytes

    def _announce(self) -> None:
        """Says once on a terminal what takes so long."""
        if not self._has_announced and sys.stderr.isatty():
            print(f"compiling kernels for {self.architecture}, once", file=sys.stderr)
        self._has_announced = True

    def _copy_error(self, error: Exception) -> BackendError:
        return explained(self._cupy, error, "a copy does not fit")


@lru_cache(maxsize=64)
def _stream(cupy: Any, ordinal: int) -> Stream:
    """The one stream of a GPU, which does not wait for work on CUDA's default stream."""
    with cupy.cuda.Device(ordinal):
        stream: Stream = cupy.cuda.Stream(non_blocking=True)
        return stream


def _memory_bytes(cupy: Any, ordinal: int) -> int:
    """The GPU's memory, or as much of it as CuPy's pool may take."""
    with cupy.cuda.Device(ordinal):
        _, total = cupy.cuda.runtime.memGetInfo()
        limit = cupy.get_default_memory_pool().get_limit()
    return int(min(total, limit or total))


def _own(array: Array) -> CupyArray:
    """An array of a GPU with CuPy's attributes, which the interface does not have."""
    return cast("CupyArray", array)


def _reach(array: CupyArray) -> tuple[int, int]:
    """How many bytes an array's elements reach before and after the begin of its first element."""
    steps = [(size - 1) * stride for size, stride in zip(array.shape, array.strides, strict=True)]
    before = -sum(step for step in steps if step < 0)
    return before, sum(step for step in steps if step > 0) + array.itemsize
