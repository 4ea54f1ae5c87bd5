"""As much of CuPy as the device uses, without a GPU: what it is asked for is written down."""

import types

import numpy as np

MEMORY = 1 << 20
"""Bytes that the GPU has for arrays."""


class CUDADriverError(RuntimeError):
    """A failing call of the driver."""


class CUDARuntimeError(RuntimeError):
    """A failing call of the runtime."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class OutOfMemoryError(MemoryError):
    """The pool has nothing left."""


class NVRTCError(RuntimeError):
    """The compiler fails."""


class FakeArray(np.ndarray):
    """An array on the host that says on which GPU it is."""

    @property
    def data(self):
        return types.SimpleNamespace(device_id=getattr(self, "ordinal", 0))

    def get(self, stream=None):
        assert stream is not None
        return np.array(self)


class _Function:
    def __init__(self, fake, name):
        self.fake, self.name, self.ptr = fake, name, id(self)

    def __call__(self, grid, block, arguments, shared_bytes, stream):
        if block[0] == 0:
            raise CUDADriverError("CUDA_ERROR_INVALID_VALUE: invalid argument")
        self.fake.launches.append((self.name, grid, block, arguments, shared_bytes, stream))


class _Module:
    def __init__(self, fake):
        self.fake = fake

    def load(self, cubin):
        if cubin == b"damaged":
            raise CUDADriverError("CUDA_ERROR_INVALID_IMAGE: device kernel image is invalid")
        self.fake.loaded.append(cubin)

    def get_function(self, name):
        return _Function(self.fake, name)


class _Device:
    def __init__(self, fake, ordinal):
        self.fake, self.ordinal = fake, ordinal
        self.compute_capability = fake.compute_capability
        self.attributes = {
            "MaxThreadsPerBlock": 1024,
            "MaxSharedMemoryPerBlock": 48 * 1024,
            "MaxSharedMemoryPerBlockOptin": 227 * 1024,
            "MultiProcessorCount": 132,
            "L2CacheSize": 50 << 20,
        }

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def use(self):
        self.fake.used.append(self.ordinal)


class _Stream:
    def __init__(self, fake, non_blocking):
        # One that waits for the default stream cannot be captured as a graph.
        assert non_blocking
        self.fake = fake

    def use(self):
        self.fake.used.append("stream")

    def synchronize(self):
        if self.fake.failure:
            raise CUDARuntimeError(700, self.fake.failure)


class FakeCupy(types.ModuleType):
    """The module: a machine with so many GPUs."""

    ndarray = FakeArray

    def __init__(self, gpus=1, compute_capability="90", driver=12090):
        super().__init__("cupy")
        self.gpus, self.compute_capability = gpus, compute_capability
        self.launches, self.loaded, self.used, self.opted = [], [], [], []
        self.failure = ""
        self.limit = 0
        self.count_error = None
        runtime = types.SimpleNamespace(
            CUDARuntimeError=CUDARuntimeError,
            is_hip=False,
            driverGetVersion=lambda: driver,
            runtimeGetVersion=lambda: 12090,
            getDeviceCount=self._count,
            memGetInfo=lambda: (300 * 1024, MEMORY),
        )
        self.cuda = types.SimpleNamespace(
            runtime=runtime,
            driver=types.SimpleNamespace(
                CUDADriverError=CUDADriverError,
                CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES=8,
                funcSetAttribute=lambda *arguments: self.opted.append(arguments),
            ),
            nvrtc=types.SimpleNamespace(
                NVRTCError=NVRTCError,
                getVersion=lambda: (12, 9),
                getSupportedArchs=lambda: (70, 75, 80, 86, 89, 90, 100, 120),
            ),
            memory=types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
            function=types.SimpleNamespace(Module=lambda: _Module(self)),
            Device=lambda ordinal: _Device(self, ordinal),
            Stream=lambda non_blocking: _Stream(self, non_blocking),
        )

    def _count(self):
        if self.count_error:
            raise self.count_error
        return self.gpus

    def get_default_memory_pool(self):
        return types.SimpleNamespace(used_bytes=lambda: 700 * 1024, get_limit=lambda: self.limit)

    def empty(self, shape, dtype):
        if np.prod(shape) * np.dtype(dtype).itemsize > MEMORY:
            raise OutOfMemoryError("out of memory")
        return np.empty(shape, dtype).view(FakeArray)

    def array(self, host):
        made = self.empty(host.shape, host.dtype)
        made[...] = host
        return made
