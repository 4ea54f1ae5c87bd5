"""What works on this machine and what does not, each finding with its reason."""

from __future__ import annotations

import ctypes
import importlib.util
import platform
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from gpucnn.backends import why_unavailable
from gpucnn.emulator.cache import ENVIRONMENT_VARIABLE, default_folder, why_unusable
from gpucnn.environment import packages
from gpucnn.errors import BackendError, install_advice
from gpucnn.processor import available_cores, processor_name
from gpucnn.text import shown
from gpucnn.units import byte_text

_BACKENDS = ("numpy", "emulator", "emulator:ptx", "cuda")


@dataclass(frozen=True)
class Finding:
    """One line of the examination.

    Attributes:
        subject: what was looked at.
        works: None where there is nothing to work, only something to know.
        text: what was found, or why it does not work and what to do.
    """

    subject: str
    works: bool | None
    text: str

    @property
    def mark(self) -> str:
        """A tick, a cross, or nothing."""
        return {True: "✓", False: "✗", None: " "}[self.works]

    def as_json(self) -> dict[str, object]:
        """Without the subject, which is the key."""
        return {"works": self.works, "text": self.text}


def examine(device: int = 0) -> list[Finding]:
    """All findings, in the order to read them in.

    Args:
        device: which GPU.
    """
    nvrtc = _nvrtc()
    return [
        Finding("Python", None, f"{platform.python_version()} at {sys.executable}"),
        Finding(
            "processor", None, f"{processor_name()}, {available_cores()} cores for this process"
        ),
        Finding("packages", None, ", ".join(f"{k} {v}" for k, v in packages().items())),
        _blas(),
        _optional("Pillow", "PIL", f"for image files: {install_advice('images')}"),
        _optional("matplotlib", "matplotlib", f"for plots: {install_advice('plot')}"),
        _optional("PyTorch", "torch", f"only for comparisons: {install_advice('peers')}"),
        _optional("CuPy", "cupy", f"for GPUs: {install_advice('cuda12', 'cuda13')}"),
        _driver(nvrtc),
        _compiler(),
        nvrtc,
        _disassembler(),
        _build(nvrtc),
        _cache(),
        *(_backend(name, device) for name in _BACKENDS),
    ]


def _blas() -> Finding:
    import numpy as np  # noqa: F401 - loads the library that is looked for
    from threadpoolctl import threadpool_info

    found = [
        f"{pool['internal_api']} {pool.get('version') or ''} ({pool.get('architecture', '?')})"
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    ]
    if not found:
        return Finding("BLAS", False, "NumPy's BLAS is not one whose threads can be held to one")
    return Finding("BLAS", True, ", ".join(found))


def _optional(subject: str, module: str, advice: str) -> Finding:
    if importlib.util.find_spec(module) is None:
        return Finding(subject, False, f"not installed; {advice}")
    return Finding(subject, True, "installed")


def _driver(nvrtc: Finding) -> Finding:
    """Whether it finds a GPU, and whether it is as new as NVRTC."""
    from gpucnn.backends.devices.cuda.availability import cuda_version, why_compiler_too_new

    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return Finding("NVIDIA driver", False, "libcuda.so.1 is not there; no GPU can be used")
    count, status = ctypes.c_int(0), driver.cuInit(0)
    if status == 0:
        status = driver.cuDeviceGetCount(ctypes.byref(count))
    if status != 0:
        return Finding("NVIDIA driver", False, f"the driver answers with error {status}")
    version = ctypes.c_int(0)
    driver.cuDriverGetVersion(ctypes.byref(version))
    text = f"{count.value} GPU(s), CUDA {cuda_version(version.value)}"
    if nvrtc.works and (why := why_compiler_too_new(version.value)):
        text += f"; {why}"
    return Finding("NVIDIA driver", count.value > 0, text)


def _compiler() -> Finding:
    from gpucnn.emulator.compiler import compiler
    from gpucnn.emulator.errors import EmulatorError

    try:
        return Finding("C++ compiler", True, compiler().name)
    except EmulatorError as error:
        return Finding("C++ compiler", False, str(error))


def _nvrtc() -> Finding:
    from gpucnn.backends.devices.cuda.nvrtc import compiler_build

    try:
        return Finding("NVRTC", True, compiler_build())
    except BackendError as error:
        return Finding("NVRTC", False, str(error))


def _disassembler() -> Finding:
    from gpucnn.backends.devices.cuda.disassembly import disassembler

    if disassembler() is None:
        advice = f"to count instructions: {install_advice('disassembly')}"
        return Finding("nvdisasm", False, f"not installed; {advice}")
    return Finding("nvdisasm", True, "installed")


def _build(nvrtc: Finding) -> Finding:
    """Compiles a small file, as ``gpucnn kernels build`` would."""
    from gpucnn.backends.devices.cuda.nvrtc import compile_to_cubin
    from gpucnn.backends.devices.source import KernelSource

    if not nvrtc.works:
        return Finding("kernels build", False, "needs NVRTC")
    try:
        compile_to_cubin(KernelSource("sum_slices.cu"), "sm_80")
    except BackendError as error:
        return Finding("kernels build", False, str(error))
    return Finding("kernels build", True, "works")


def _cache() -> Finding:
    folder = default_folder()
    if folder is None:
        advice = f"compiled kernels are not kept; set {ENVIRONMENT_VARIABLE}"
        return Finding("cache", False, f"there is no home folder, so {advice}")
    if why := why_unusable(folder):
        return Finding("cache", False, f"{shown(folder)} is not used: {why}")
    sizes = [size for path in folder.glob("*") if (size := _file_size(path)) is not None]
    return Finding("cache", None, f"{shown(folder)}, {len(sizes)} files, {byte_text(sum(sizes))}")


def _file_size(path: Path) -> int | None:
    """Bytes of a regular file; None for anything else, or if it is gone by now."""
    try:
        status = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _backend(name: str, device: int) -> Finding:
    reason = why_unavailable(name, device)
    return Finding(f"backend {name}", not reason, reason or "works")
