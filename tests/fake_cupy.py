"""As much of CuPy as the device uses, without a GPU: what it is asked for is written down.

Streams do their work as late as they may, when someone waits for it; or, if they are ``eager``, as
early. So what is not ordered by streams and events is seen to go wrong one way or the other.
"""

import ctypes
import sys
import threading
import types
from pathlib import Path

import numpy as np

MEMORY = 1 << 20
"""Bytes that the GPU has for arrays."""
POISON = 0xAB
"""What memory of the GPU holds before it is written to."""


class CUDADriverError(RuntimeError):
    """A failing call of the driver."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class CUDARuntimeError(RuntimeError):
    """A failing call of the runtime."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class OutOfMemoryError(MemoryError):
    """The pool has nothing left."""


class _Pointer:
    """A place in the GPU's memory, which is the host's here."""

    def __init__(self, array, offset=0):
        self.ptr = array.__array_interface__["data"][0] + offset
        self.device_id = array.ordinal
        self._array, self._offset = array, offset

    def __add__(self, offset):
        return _Pointer(self._array, self._offset + offset)

    def __sub__(self, offset):
        return self + -offset

    def copy_from_host_async(self, source, size, stream):
        self._enqueue(stream, lambda: ctypes.memmove(self.ptr, source, size), size)

    def copy_to_host_async(self, target, size, stream):
        self._enqueue(stream, lambda: ctypes.memmove(target, self.ptr, size), size)

    def memset_async(self, value, size, stream):
        self._enqueue(stream, lambda: ctypes.memset(self.ptr, value, size), size)

    def _enqueue(self, stream, work, size):
        stream.fake.fail()
        stream.fake.copied.append(size)
        stream.enqueue(work)


class FakeArray(np.ndarray):
    """An array that says on which GPU it is, and leaves its contents to pointers and kernels.

    For operations of its own CuPy would compile kernels; so it has none.
    """

    def __array_finalize__(self, other):
        self.ordinal = getattr(other, "ordinal", 0)

    @property
    def data(self):
        return _Pointer(self)

    def _compiles(self, *_, **__):
        raise AssertionError("CuPy would compile a kernel")

    fill = get = copy = astype = __setitem__ = __array_ufunc__ = __array_function__ = _compiles


class RawKernel:
    """A kernel of a module, launched onto the current stream."""

    def __init__(self, fake, name):
        self.fake, self.name = fake, name

    def __call__(self, grid, block, args, *, shared_mem=0):
        self.fake.fail()
        assert isinstance(args, tuple)
        if block[0] == 0:
            raise CUDADriverError(1, "CUDA_ERROR_INVALID_VALUE: invalid argument")
        stream = self.fake.cuda.get_current_stream()
        self.fake.launches.append((self.name, grid, block, args, shared_mem, stream))
        stream.enqueue(lambda: self.fake.run(args))

    @property
    def max_dynamic_shared_size_bytes(self):
        raise AssertionError("a call of the driver")

    @max_dynamic_shared_size_bytes.setter
    def max_dynamic_shared_size_bytes(self, size):
        self.fake.fail()
        self.fake.opted.append((self.name, size))


class RawModule:
    """A file of kernels, loaded when the first of them is asked for, and kept by its path."""

    def __init__(self, fake, path):
        self.fake, self.path = fake, path

    def get_function(self, name):
        self.fake.fail()
        if self.path not in self.fake.modules:
            cubin = Path(self.path).read_bytes()
            if cubin == b"damaged":
                raise CUDADriverError(200, "CUDA_ERROR_INVALID_IMAGE: image is invalid")
            self.fake.modules[self.path] = cubin
            self.fake.loaded.append(cubin)
        return RawKernel(self.fake, name)


class _Device:
    def __init__(self, fake, ordinal):
        self.fake, self.ordinal = fake, ordinal
        self.attributes = {
            "MaxThreadsPerBlock": 1024,
            "MaxSharedMemoryPerBlock": 48 * 1024,
            "MaxSharedMemoryPerBlockOptin": 227 * 1024,
            "MultiProcessorCount": 132,
            "MaxThreadsPerMultiProcessor": 2048,
            "MaxRegistersPerMultiprocessor": 65536,
            "MaxSharedMemoryPerMultiprocessor": 228 * 1024,
            "L2CacheSize": 50 << 20,
        }

    @property
    def compute_capability(self):
        if self.fake.device_error:
            raise self.fake.device_error
        return self.fake.compute_capability

    @property
    def mem_info(self):
        self.fake.fail()
        assert self.fake.current.device == self.ordinal
        return self.fake.free, self.fake.memory

    def __enter__(self):
        self.before, self.fake.current.device = self.fake.current.device, self.ordinal
        return self

    def __exit__(self, *_):
        self.fake.current.device = self.before

    def use(self):
        self.fake.current.device = self.ordinal
        self.fake.used.append(self.ordinal)


class _Stream:
    def __init__(self, fake, non_blocking, eager=False):
        # One that waits for the default stream cannot be captured as a graph.
        assert non_blocking
        fake.fail()
        self.fake, self.device_id, self.eager = fake, fake.current.device, eager
        self.queue = []
        fake.streams.append(self)

    def enqueue(self, work, is_done=None):
        self.queue.append((work, is_done or (lambda: True)))
        self.fake.run_eager()

    def run(self, until=lambda: False):
        """Does what is waiting, up to a point."""
        while self.queue and not until():
            work, _ = self.queue.pop(0)
            work()

    def wait_event(self, event):
        self.fake.fail()
        mark = event.mark
        self.enqueue(mark.reach, lambda: mark.reached)

    @property
    def done(self):
        return not self.queue

    def use(self):
        self.fake.current.streams[self.device_id] = self
        self.fake.used.append("stream")

    def synchronize(self):
        self.fake.fail()
        self.run()


class _Current(threading.local):
    """What CuPy keeps for each thread."""

    def __init__(self):
        self.device, self.streams = 0, {}


class _Mark:
    """A place in a stream."""

    def __init__(self, stream=None):
        self.stream, self.reached = stream, stream is None

    def reach(self):
        if not self.reached:
            self.stream.run(until=lambda: self.reached)


class _Event:
    def __init__(self):
        self.mark = _Mark()

    def record(self, stream):
        mark = self.mark = _Mark(stream)
        stream.enqueue(lambda: setattr(mark, "reached", True))

    def synchronize(self):
        if self.mark.stream:
            self.mark.stream.fake.fail()
        self.mark.reach()


class FakeNvrtc:
    """A compiler that is asked what it can, but not to compile."""

    version = 12, 9
    build = "12.9.86"
    architectures = 70, 75, 80, 86, 89, 90, 100, 120


class FakeCupy(types.ModuleType):
    """The module: a machine with so many GPUs.

    Attributes:
        launches, loaded, opted: what kernels and modules were given.
        modules: the contents of modules, by their paths.
        used: devices and streams that were made current.
        copied: bytes of each copy.
        failure: of every call from now on, status and words; None for none.
        limit: what CUPY_GPU_MEMORY_LIMIT allows.
        free: bytes of the GPU that nobody has.
        pooled: bytes that CuPy's pool has and nothing uses.
        eager: whether new streams do their work as early as they may.
        run: what kernels do, with their arguments, when their turn comes.
    """

    ndarray = FakeArray

    def __init__(self, gpus=1, compute_capability="90", driver=12090, memory=MEMORY):
        super().__init__("cupy")
        self.__version__ = "14.2.0"
        self.memory = memory
        self.gpus, self.compute_capability = gpus, compute_capability
        self.launches, self.loaded, self.used, self.opted = [], [], [], []
        self.modules = {}
        self.copied, self.pinned, self.streams = [], [], []
        self.current = _Current()
        self.failure = None
        self.limit = 0
        self.free, self.pooled = 300 * 1024, 0
        self.eager = False
        self.nvrtc = FakeNvrtc()
        self.run = lambda _: None
        self.count_error = self.device_error = None
        runtime = types.SimpleNamespace(
            CUDARuntimeError=CUDARuntimeError,
            is_hip=False,
            driverGetVersion=lambda: driver,
            runtimeGetVersion=lambda: 12090,
            getDeviceCount=self._count,
            getDeviceProperties=lambda ordinal: {"name": f"NVIDIA Fake {ordinal}".encode()},
            memGetInfo=lambda: (self.free, memory),
        )
        self.cuda = types.SimpleNamespace(
            runtime=runtime,
            driver=types.SimpleNamespace(
                CUDADriverError=CUDADriverError,
            ),
            memory=types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
            Device=lambda ordinal: _Device(self, ordinal),
            Stream=lambda non_blocking: _Stream(self, non_blocking, self.eager),
            Event=lambda block, disable_timing: _Event(),  # noqa: ARG005
            get_current_stream=lambda: self.current.streams.get(self.current.device),
            alloc_pinned_memory=self._pin,
        )

    def install(self, monkeypatch):
        """Puts it, and a compiler of its version, in the place of what is installed."""
        monkeypatch.setitem(sys.modules, "cupy", self)
        found = types.SimpleNamespace(submodule_search_locations=None)
        monkeypatch.setattr("importlib.util.find_spec", lambda _: found)
        monkeypatch.setattr("gpucnn.backends.devices.cuda.nvrtc.nvrtc", lambda: self.nvrtc)

    def fail(self):
        """Raises what every call does once a kernel has failed."""
        if self.failure:
            raise CUDARuntimeError(*self.failure)

    def run_eager(self):
        """Lets streams that do not put things off go on until they wait for one that does."""
        for stream in self.streams:
            while stream.eager and stream.queue and stream.queue[0][1]():
                stream.queue.pop(0)[0]()

    def _count(self):
        if self.count_error:
            raise self.count_error
        return self.gpus

    def _pin(self, size):
        if size > MEMORY << 5:
            raise CUDARuntimeError(2, "cudaErrorMemoryAllocation: out of memory")
        self.pinned.append(size)
        return bytearray(size)

    def RawModule(self, *, path):  # noqa: N802 - CuPy's name
        return RawModule(self, path)

    def get_default_memory_pool(self):
        return types.SimpleNamespace(
            used_bytes=lambda: 700 * 1024,
            free_bytes=lambda: self.pooled,
            get_limit=lambda: self.limit,
        )

    def empty(self, shape, dtype):
        self.fail()
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if size > self.memory:
            raise OutOfMemoryError("out of memory")
        memory = np.full(size, POISON, np.uint8)
        made = memory.view(dtype).reshape(shape).view(FakeArray)
        made.ordinal = self.current.device
        return made
