"""What CuPy raises when the GPU or its memory fails, as errors that say what to do."""

from __future__ import annotations

from typing import Any

from gpucnn.backends.devices.cuda.availability import cuda_version, why_compiler_too_new
from gpucnn.backends.devices.cuda.nvrtc import compiler_build
from gpucnn.errors import BackendError
from gpucnn.units import byte_text

# What the driver and the runtime number alike.
_INVALID_VALUE = 1
_MEMORY_FULL = 2
_INVALID_IMAGE = 200
_NO_IMAGE_FOR_THIS_GPU = 209
_UNSUPPORTED_VERSION = 222
_NO_SUCH_FUNCTION = 500
_OUT_OF_RESOURCES = 701

_OF_THE_LAUNCH = (_INVALID_VALUE, _OUT_OF_RESOURCES)
_OF_THE_IMAGE = (
    _INVALID_IMAGE,
    _NO_IMAGE_FOR_THIS_GPU,
    _UNSUPPORTED_VERSION,
    _NO_SUCH_FUNCTION,
)


def failures(cupy: Any) -> tuple[type[Exception], ...]:
    """All that CuPy raises for a GPU's failure."""
    cuda = cupy.cuda
    return (
        cuda.driver.CUDADriverError,
        cuda.runtime.CUDARuntimeError,
        cuda.memory.OutOfMemoryError,
    )


def explained(cupy: Any, error: Exception, doing: str) -> BackendError:
    """An error for a call that failed for want of memory, or because of work before it.

    Once a kernel has failed, every call does, whatever it is for: so the call is not to blame.

    Args:
        cupy: the module.
        error: one of ``failures``.
        doing: what does not fit where memory is full, as the end of a sentence.
    """
    if _status(error) == _MEMORY_FULL:
        return _out_of_memory(cupy, doing)
    return BackendError(
        f"the GPU stopped with an error in the work before: {error}; --backend emulator "
        "finds a kernel's bad access and names it"
    )


def launch_failed(cupy: Any, error: Exception, doing: str) -> BackendError:
    """As ``explained``, or, where the launch itself is at fault, that it is."""
    if _status(error) in _OF_THE_LAUNCH:
        return BackendError(f"{doing}: {error}")
    return explained(cupy, error, doing)


def load_failed(cupy: Any, error: Exception, doing: str) -> BackendError:
    """As ``explained``; or, if the driver refuses the program itself, whether NVRTC is too new."""
    if _status(error) in _OF_THE_IMAGE:
        driver = cupy.cuda.runtime.driverGetVersion()
        advice = why_compiler_too_new(driver) or (
            f"NVRTC {compiler_build()} is not newer than the driver, which is for CUDA "
            f"{cuda_version(driver)}; a newer driver may load it"
        )
        return BackendError(f"{doing} ({error}); {advice}")
    return explained(cupy, error, doing)


def no_pinned_memory(error: Exception, size: int) -> BackendError:
    """An error for memory of the host that cannot be locked, so that the GPU reads it."""
    return BackendError(
        f"{byte_text(size)} of the host's memory cannot be locked for copies to the GPU ({error}); "
        "free memory of the host, or make the batch smaller (training.batch_size)"
    )


def _status(error: Exception) -> int:
    if isinstance(error, MemoryError):
        return _MEMORY_FULL
    return int(getattr(error, "status", 0))


def _out_of_memory(cupy: Any, doing: str) -> BackendError:
    """Tells what does not fit, what is held, and what to change."""
    pool = cupy.get_default_memory_pool()
    free, total = cupy.cuda.runtime.memGetInfo()
    limit = pool.get_limit()
    held = byte_text(pool.used_bytes())
    limited = f", of {byte_text(limit)} that CUPY_GPU_MEMORY_LIMIT allows" if limit else ""
    return BackendError(
        f"the GPU's memory is full: {doing}; arrays hold {held}{limited}, and "
        f"{byte_text(free)} of the GPU's {byte_text(total)} are free; make the batch smaller "
        "(training.batch_size), or the model"
    )
