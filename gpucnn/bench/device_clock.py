"""The clocks that fit a backend."""

from __future__ import annotations

from gpucnn.backends.base import Backend
from gpucnn.backends.devices.cuda.device import CudaDevice
from gpucnn.backends.devices.cuda.importing import import_cupy
from gpucnn.backends.kernel_backend import KernelBackend
from gpucnn.bench.ceilings import multiply_add
from gpucnn.bench.timing import Clock, EventClock, HostClock

_CALIBRATION_ROUNDS = 1 << 20
_PAUSE = 0.02
"""Seconds before runs on a CPU: PyTorch's threads go on spinning for a while when they are done."""


def cuda_device(backend: Backend) -> CudaDevice | None:
    """The GPU of a backend; None where it has none."""
    if isinstance(backend, KernelBackend) and isinstance(backend.device, CudaDevice):
        return backend.device
    return None


def host_clock(backend: Backend) -> HostClock:
    """The host's clock, for what host and device do together."""
    return HostClock(backend.synchronise, _PAUSE if cuda_device(backend) is None else 0.0)


def device_clock(backend: Backend) -> Clock:
    """A clock for the device's own time: events on a GPU, the host's clock elsewhere."""
    device = cuda_device(backend)
    if device is None:
        return host_clock(backend)
    # One thread, which keeps the stream busy and leaves the GPU cool.
    occupy = multiply_add(device, 1, 1)
    host = host_clock(backend)
    host.seconds(lambda: occupy(_CALIBRATION_ROUNDS))
    rounds_a_second = _CALIBRATION_ROUNDS / host.seconds(lambda: occupy(_CALIBRATION_ROUNDS))
    return EventClock(
        import_cupy(),
        device.stream,
        lambda seconds: occupy(int(seconds * rounds_a_second)),
    )
