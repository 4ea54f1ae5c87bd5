"""Whether a GPU can be used here, and if not, what is missing and what to do."""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path
from typing import Any

from gpucnn.backends.devices.cuda.importing import import_cupy, is_installed
from gpucnn.backends.devices.cuda.nvrtc import (
    OLDEST,
    architecture_of,
    check_architecture,
    compiler_version,
)
from gpucnn.errors import BackendError, install_advice

_DRIVER_FILE = Path("/proc/driver/nvidia/version")
_DEVICE_FILES = Path("/dev")
_DRIVER_LIBRARY = "libcuda.so.1"
_INSUFFICIENT_DRIVER = 35
"""cudaErrorInsufficientDriver: also where there is no driver at all."""
_OTHERS = "the backends numpy and emulator need no GPU"


def why_unavailable(ordinal: int = 0) -> str:
    """One sentence on why a GPU cannot be used here; empty where it can.

    Args:
        ordinal: which GPU.
    """
    if not is_installed():
        return (
            f"CuPy is not installed: {install_advice('cuda12')}, or with [cuda13] if the NVIDIA "
            f"driver is 580 or newer; {_OTHERS}"
        )
    try:
        cupy = import_cupy()
    except Exception as error:  # Whatever a broken module, or one of its libraries, ends with.
        return f"CuPy is installed but does not import ({_one_line(error)}); install it again"
    return _driver(cupy) or _gpu(cupy, ordinal)


def has_driver() -> bool:
    """Whether there are signs of an NVIDIA driver on this machine, whether or not it works."""
    if _DRIVER_FILE.exists() or any(_DEVICE_FILES.glob("nvidia[0-9]*")):
        return True
    try:
        ctypes.CDLL(_DRIVER_LIBRARY)
    except OSError:
        return False
    return True


def driver_release() -> str:
    """The NVIDIA driver's own version, such as "580.65.06"; empty where Linux does not tell it."""
    try:
        text = _DRIVER_FILE.read_text(encoding="utf-8")
    except OSError:
        return ""
    match = re.search(r"Kernel Module.*?\s(\d+\.[\d.]+)", text)
    return match[1] if match else ""


def why_compiler_too_new(driver: int) -> str:
    """Says that NVRTC is newer than a driver, and what to do; empty if it is not.

    Within a major version of CUDA a driver loads most of what a newer NVRTC makes, but not all.

    Args:
        driver: the version of CUDA that the driver is for, such as 12040.

    Raises:
        BackendError: CuPy or NVRTC is not installed.
    """
    major, minor = compiler_version()
    if driver >= 1000 * major + 10 * minor:
        return ""
    version = cuda_version(driver)
    advice = "update the driver"
    if driver // 1000 == major:
        package = "nvidia-cuda-nvrtc-cu12" if major == 12 else "nvidia-cuda-nvrtc"
        advice += f', or pip install "{package}=={version}.*"'
    elif driver // 1000 == 12:
        advice += f", or install CuPy and NVRTC for CUDA 12: {install_advice('cuda12')}"
    return f"NVRTC {major}.{minor} is newer than the driver, which is for CUDA {version}: {advice}"


def _driver(cupy: Any) -> str:
    runtime = cupy.cuda.runtime
    if runtime.is_hip:
        return "this CuPy is made for AMD's GPUs; gpucnn needs cupy-cuda12x or cupy-cuda13x"
    version = runtime.driverGetVersion()
    if version == 0:
        return (
            "there is no NVIDIA driver on this machine, so no GPU can be used; install one; "
            f"{_OTHERS}"
        )
    try:
        count = runtime.getDeviceCount()
    except runtime.CUDARuntimeError as error:
        if error.status == _INSUFFICIENT_DRIVER:
            return (
                f"the NVIDIA driver is for CUDA {cuda_version(version)} and CuPy for "
                f"{cuda_version(runtime.runtimeGetVersion())}; update the driver, or install the "
                f"CuPy that fits it ({install_advice('cuda12')})"
            )
        return f"the NVIDIA driver finds no GPU ({_one_line(error)})" + _hidden()
    return "" if count else "the NVIDIA driver finds no GPU" + _hidden()


def _gpu(cupy: Any, ordinal: int) -> str:
    count = cupy.cuda.runtime.getDeviceCount()
    if not 0 <= ordinal < count:
        only = "the only one is 0" if count == 1 else f"they are numbered from 0 to {count - 1}"
        return f"there is no GPU {ordinal}; {only}"
    try:
        capability = int(cupy.cuda.Device(ordinal).compute_capability)
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"GPU {ordinal} cannot be used ({_one_line(error)})"
    if capability < OLDEST:
        return (
            f"GPU {ordinal} is of compute capability {capability // 10}.{capability % 10}; gpucnn "
            f"needs {OLDEST // 10}.{OLDEST % 10} (Volta) or newer; {_OTHERS}"
        )
    try:
        check_architecture(architecture_of(capability))
    except BackendError as error:
        return str(error)
    return ""


def _hidden() -> str:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return f"; {_OTHERS}"
    return f'; CUDA_VISIBLE_DEVICES is "{visible}", which may hide it'


def cuda_version(number: int) -> str:
    """ "12.9" for 12090."""
    return f"{number // 1000}.{number % 1000 // 10}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
