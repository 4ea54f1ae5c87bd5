"""From a kernel's source to a cubin, with NVRTC; needs neither a GPU nor a driver."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from gpucnn.backends.devices.cuda.cubin import kernel_names, parameter_counts
from gpucnn.backends.devices.cuda.diagnostics import CompilationError, diagnostics
from gpucnn.backends.devices.cuda.importing import import_cupy
from gpucnn.backends.devices.source import KernelSource
from gpucnn.errors import BackendError, install_advice
from gpucnn.text import shown

OPTIONS = (
    "--std=c++17",
    # True FP32: subnormal numbers, divisions and roots as IEEE 754 has them.
    "--ftz=false",
    "--prec-div=true",
    "--prec-sqrt=true",
    "--fmad=true",
    # Source lines for profilers, and registers and spills in the log.
    "--generate-line-info",
    "--ptxas-options=-v",
    # A kernel does not need every constant that its file is compiled for.
    "--diag-suppress=177",
)
ARCHITECTURES = ("sm_70", "sm_75", "sm_80", "sm_86", "sm_89", "sm_90a", "sm_100a", "sm_120a")
"""Volta, Turing, Ampere (A100; GeForce 30), Ada, Hopper, Blackwell (B200; GeForce 50)."""
OLDEST = 70
"""Independent threads of a warp, and tensor cores, came with Volta."""

_OLDEST_WITH_SUFFIX = {"": OLDEST, "a": 90, "f": 100}
"""a: with the instructions of this chip alone; f: with those of its family."""

_INSTALL = install_advice("cuda12", "cuda13")
_COMPILER = '"nvidia-cuda-nvrtc-cu12==12.*" (for CUDA 13: "nvidia-cuda-nvrtc==13.*")'
_HEADERS = '"nvidia-cuda-runtime-cu12==12.*" (for CUDA 13: "nvidia-cuda-runtime==13.*")'
_PACKAGES = ("nvidia-cuda-nvrtc-cu12", "nvidia-cuda-nvrtc")
_VERSIONS = (("cuda.h", "CUDA_VERSION"), ("cuda_runtime_api.h", "CUDART_VERSION"))
_NEEDLESS_HEADERS = ("cmath", "cassert", "cstdint", "cstdio", "math.h", "stdint.h", "limits")


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
        BackendError: CuPy or NVRTC is not installed.
    """
    version: tuple[int, int] = _call(_nvrtc().getVersion)
    return version


def compiler_build() -> str:
    """NVRTC's version to the last digit where its package tells it, such as "12.9.86".

    Raises:
        BackendError: CuPy or NVRTC is not installed.
    """
    return _build_of(".".join(str(part) for part in compiler_version()))


@lru_cache(maxsize=16)
def _build_of(version: str) -> str:
    for package in _PACKAGES:
        try:
            build = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
        if build.startswith(f"{version}."):
            return build
    return version


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
        BackendError: CuPy or NVRTC is not installed.
    """
    wanted = compute_capability(architecture)
    supported = _call(_nvrtc().getSupportedArchs)
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
    nvrtc = _nvrtc()
    folders = [*source.include_folders, *toolkit_headers()]
    options = (
        *OPTIONS,
        f"--gpu-architecture={architecture}",
        *(f"--include-path={folder}" for folder in folders),
    )
    # Quotes would end the name, and bytes that are not UTF-8 would be none.
    name = shown(source.file).replace('"', "'").replace("\\", "/")
    text = f'{source.prologue}#line 1 "{name}"\n{source.text()}'
    program = nvrtc.createProgram(text, name, [], [])
    try:
        try:
            nvrtc.compileProgram(program, options)
        except nvrtc.NVRTCError as error:
            log = nvrtc.getProgramLog(program) or str(error)
            raise _refused(source, architecture, log) from error
        log = nvrtc.getProgramLog(program)
        usage = parse_usage(log)
        cubin = _completed(nvrtc.getCUBIN(program))
    finally:
        nvrtc.destroyProgram(program)
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


@lru_cache(maxsize=1)
def toolkit_headers() -> tuple[Path, ...]:
    """The folder of CUDA's headers: of the pip packages, else of a toolkit; empty without one."""
    major, _ = compiler_version()
    spec = importlib.util.find_spec("nvidia")
    packages = [Path(folder) for folder in spec.submodule_search_locations or ()] if spec else []
    toolkits = [os.environ.get("CUDA_PATH"), os.environ.get("CUDA_HOME"), "/usr/local/cuda"]
    candidates = [
        *(folder / f"cu{major}" / "include" for folder in packages),
        *(folder / "cuda_runtime" / "include" for folder in packages),
        *(Path(folder) / "include" for folder in toolkits if folder),
    ]
    return tuple(folder for folder in candidates if (folder / "cuda_fp16.h").exists())[:1]


@lru_cache(maxsize=1)
def toolkit_version() -> str:
    """The version that CUDA's headers say they are of; empty without headers."""
    for folder in toolkit_headers():
        for header, name in _VERSIONS:
            if (folder / header).exists():
                text = (folder / header).read_text(encoding="utf-8", errors="replace")
                match = re.search(rf"#define\s+{name}\s+(\d+)", text)
                if match:
                    return match[1]
    return ""


def _nvrtc() -> Any:
    try:
        return import_cupy().cuda.nvrtc
    except ImportError as error:
        raise BackendError(f"CuPy is not installed, or is broken ({error}); {_INSTALL}") from error


def _call(function: Any) -> Any:
    """Calls into NVRTC, whose library is looked for at the first call."""
    try:
        return function()
    except RuntimeError as error:
        words = " ".join(str(error).split())
        raise BackendError(
            f"NVIDIA's run-time compiler NVRTC is missing ({words}); {_INSTALL}"
        ) from error


def _refused(source: KernelSource, architecture: str, log: str) -> CompilationError:
    heading = f"{source} does not compile for {architecture}:"
    told = diagnostics(log) or (log.strip(),)
    missing = re.search(r'(?:cannot|could not) open source file "([^"]+)"', log)
    advice = _advice(missing[1]) if missing else ""
    return CompilationError(heading, (*told, advice) if advice else told)


def _advice(header: str) -> str:
    """What to do about a header that is not found; empty where nobody can tell."""
    if header in _NEEDLESS_HEADERS:
        return "NVRTC needs none of the standard library's headers, and has none."
    if header.startswith(("cuda", "cooperative", "mma")):
        return f"{header} is one of CUDA's own headers: pip install {_HEADERS}"
    return ""


def _completed(cubin: bytes) -> bytes:
    """The cubin with its last byte, a zero: CuPy takes it for the end of a string and cuts it."""
    # ELF64 ends with the table of program headers or of sections: begin, entry's size, entries.
    ends = [
        int.from_bytes(cubin[begin : begin + 8], "little")
        + int.from_bytes(cubin[size : size + 2], "little")
        * int.from_bytes(cubin[size + 2 : size + 4], "little")
        for begin, size in ((32, 54), (40, 58))
    ]
    return cubin + b"\0" if max(ends) == len(cubin) + 1 else cubin
