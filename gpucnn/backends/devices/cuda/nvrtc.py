"""From a kernel's source to a cubin, with NVRTC; needs neither a GPU nor a driver."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from gpucnn.backends.devices.cuda.compilation_error import CompilationError
from gpucnn.backends.devices.cuda.cubin import kernel_names, parameter_counts
from gpucnn.backends.devices.source import KernelSource
from gpucnn.emulator.ptx.compilation import TRUE_FP32, WITHOUT_REMARKS_ON_CONSTANTS
from gpucnn.emulator.ptx.diagnostics import complaints, diagnostics
from gpucnn.emulator.ptx.nvrtc import MissingError, Nvrtc, RefusedError, nvrtc
from gpucnn.emulator.ptx.toolkit import header_folders, headers_version
from gpucnn.errors import BackendError, install_advice
from gpucnn.text import shown

OPTIONS = (
    "--std=c++17",
    *TRUE_FP32,
    # Source lines for profilers, and registers and spills in the log.
    "--generate-line-info",
    "--ptxas-options=-v",
    WITHOUT_REMARKS_ON_CONSTANTS,
)
ARCHITECTURES = ("sm_70", "sm_75", "sm_80", "sm_86", "sm_89", "sm_90a", "sm_100a", "sm_120a")
"""Volta, Turing, Ampere (A100; GeForce 30), Ada, Hopper, Blackwell (B200; GeForce 50)."""
OLDEST = 70
"""Independent threads of a warp, and tensor cores, came with Volta."""

_OLDEST_WITH_SUFFIX = {"": OLDEST, "a": 90, "f": 100}
"""a: with the instructions of this chip alone; f: with those of its family."""

_COMPILER = '"nvidia-cuda-nvrtc-cu12==12.*" (for CUDA 13: "nvidia-cuda-nvrtc==13.*")'


@dataclass(frozen=True)
class Usage:
    """What one kernel takes, as ptxas tells it.

    Attributes:
        registers: of a thread.
        shared_bytes: static shared memory of a block.
        stack_bytes: local memory of a thread: arrays that are indexed at run time, and spills.
        spill_bytes: stored to and loaded from local memory for want of registers.
    """

    registers: int
    shared_bytes: int
    stack_bytes: int
    spill_bytes: int


@dataclass(frozen=True)
class Program:
    """A compiled file.

    Attributes:
        cubin: an ELF file for one architecture.
        names: the kernels' names in the source, and what the compiler made of them.
        usage: what each kernel takes, by its name in the source.
        parameters: how many each kernel has, likewise.
        warnings: what the compiler has to say of it.
    """

    cubin: bytes
    names: Mapping[str, str]
    usage: Mapping[str, Usage]
    parameters: Mapping[str, int]
    warnings: tuple[str, ...] = ()


def architecture_of(compute_capability: int) -> str:
    """What to compile for, "sm_90a" for 90: with the instructions that only this chip has."""
    return f"sm_{compute_capability}{'a' if compute_capability >= 90 else ''}"


def compute_capability(architecture: str) -> int:
    """90 for "sm_90a".

    Raises:
        BackendError: not a name of an architecture.
    """
    return _parts(architecture)[0]


def _parts(architecture: str) -> tuple[int, str]:
    """(90, "a") for "sm_90a"."""
    match = re.fullmatch(r"sm_(\d{2,3})([af]?)", architecture)
    if match is None:
        raise BackendError(f'"{architecture}" is not an architecture, such as sm_80 or sm_90a')
    return int(match[1]), match[2]


def compiler_version() -> tuple[int, int]:
    """NVRTC's version.

    Raises:
        BackendError: NVRTC is not installed.
    """
    return _nvrtc().version


def compiler_build() -> str:
    """NVRTC's version, to the last digit if its package says it, such as "12.9.86".

    Raises:
        BackendError: NVRTC is not installed.
    """
    return _nvrtc().build


def check_architecture(architecture: str) -> None:
    """Raises BackendError where it is no name, or the installed compiler makes no code for it."""
    wanted, suffix = _parts(architecture)
    if wanted < OLDEST:
        raise BackendError(f"{architecture} is older than sm_{OLDEST} (Volta), the oldest usable")
    if wanted < _OLDEST_WITH_SUFFIX[suffix]:
        raise BackendError(
            f'{architecture} is not an architecture: the suffix "{suffix}" begins with '
            f"sm_{_OLDEST_WITH_SUFFIX[suffix]}{suffix}; use sm_{wanted}"
        )
    if reason := why_unsupported(architecture):
        raise BackendError(reason)


def why_unsupported(architecture: str) -> str:
    """Why the installed compiler makes no code for an architecture; empty where it does.

    Raises:
        BackendError: NVRTC is not installed.
    """
    wanted = compute_capability(architecture)
    supported = _nvrtc().architectures
    if wanted in supported:
        return ""
    major, minor = compiler_version()
    advice = (
        f"the last to do is CUDA 12: {install_advice('cuda12')}"
        if wanted < min(supported)
        else f"a newer one may: pip install --upgrade {_COMPILER}"
    )
    return f"NVRTC {major}.{minor} makes no code for {architecture}; {advice}"


def compile_to_cubin(source: KernelSource, architecture: str) -> Program:
    """Compiles all kernels of a file for one architecture. Threads may do so side by side.

    Raises:
        CompilationError: it does not compile: file, line, constants and the compiler's words.
        BackendError: the compiler is not installed, or does not know the architecture.
    """
    check_architecture(architecture)
    folders = [*source.include_folders, *toolkit_headers()]
    options = (
        *OPTIONS,
        f"--gpu-architecture={architecture}",
        *(f"--include-path={folder}" for folder in folders),
    )
    # Quotes would end the name, and bytes that are not UTF-8 would be none.
    name = shown(source.file).replace('"', "'").replace("\\", "/")
    text = f'{source.prologue}#line 1 "{name}"\n{source.text()}'
    try:
        cubin, log, _ = _nvrtc().compile("CUBIN", text, name, options)
    except RefusedError as error:
        heading = f"{source} does not compile for {architecture}:"
        told = complaints(str(error), compiler_version()[0])
        raise CompilationError(heading, told) from error
    usage = parse_usage(log)
    names, counts = kernel_names(cubin), parameter_counts(cubin)
    return Program(
        cubin,
        names,
        {name: usage[lowered] for name, lowered in names.items()},
        {name: counts[lowered] for name, lowered in names.items()},
        diagnostics(log),
    )


def parse_usage(log: str) -> dict[str, Usage]:
    """What ptxas -v tells of each kernel, by its lowered name."""
    found = {}
    for part in log.split("Compiling entry function '")[1:]:
        registers, shared, stack = (
            sum(int(number) for number in re.findall(pattern, part))
            for pattern in (
                r"Used (\d+) registers",
                r"(\d+) bytes smem",
                r"(\d+) bytes stack frame",
            )
        )
        spills = re.findall(r"(\d+) bytes spill (?:stores|loads)", part)
        name = part.partition("'")[0]
        found[name] = Usage(registers, shared, stack, sum(int(number) for number in spills))
    return found


def toolkit_headers() -> tuple[Path, ...]:
    """The folders of CUDA's headers: of the pip packages, else of a toolkit; none without one."""
    return header_folders(compiler_version()[0])


@lru_cache(maxsize=1)
def toolkit_version() -> str:
    """The version that CUDA's headers say they are of; empty without headers."""
    return next(filter(None, map(headers_version, toolkit_headers())), "")


def _nvrtc() -> Nvrtc:
    try:
        return nvrtc()
    except MissingError as error:
        raise BackendError(str(error)) from error
