"""Where NVIDIA's run-time compiler and CUDA's headers lie on this machine.

NVIDIA's packages for pip have folders in the Python package ``nvidia``: one for each component up
to CUDA 12, ``cu13`` for all of CUDA 13. Otherwise there may be a toolkit, installed by other means.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

MAJORS = (12, 13)
"""The versions of CUDA that are looked for. More drivers take what the older one makes."""
INSTALL_COMPILER = 'pip install "nvidia-cuda-nvrtc-cu12==12.*"'
"""How to install NVRTC."""
HEADER_PACKAGES = {
    12: '"nvidia-cuda-runtime-cu12==12.*" "nvidia-cuda-cccl-cu12==12.*"',
    13: '"nvidia-cuda-runtime==13.*" "nvidia-cuda-cccl==13.*"',
}
"""What pip installs CUDA's headers from, by the major version of CUDA."""

_COMPILER_PACKAGES = ("nvidia-cuda-nvrtc-cu12", "nvidia-cuda-nvrtc")
_TOOLKIT_VARIABLES = ("CUDA_PATH", "CUDA_HOME")
_USUAL_TOOLKIT = Path("/usr/local/cuda")
_OF_THE_RUNTIME, _OF_THE_LIBRARIES = "cuda_fp16.h", "cuda/std/version"
"""A header of CUDA's own, and one of its C++ libraries, whose folder the former needs, too."""

_VERSIONS = (("cuda.h", "CUDA_VERSION"), ("cuda_runtime_api.h", "CUDART_VERSION"))
"""Headers of which at least one is there, and what they define."""


def compiler_libraries() -> Iterator[str]:
    """What NVRTC may be loaded as: paths of files that are there, and then names for the loader."""
    for major in MAJORS:
        name = f"libnvrtc.so.{major}"
        folders = [
            *(folder / "cuda_nvrtc" / "lib" for folder in _packages()),
            *(folder / f"cu{major}" / "lib" for folder in _packages()),
            *(folder / "lib64" for folder in _toolkits()),
        ]
        yield from (str(folder / name) for folder in folders if (folder / name).is_file())
    yield from (f"libnvrtc.so.{major}" for major in MAJORS)


def compiler_build(version: str) -> str:
    """NVRTC's version to the last digit if its package says it, such as "12.9.86" for "12.9"."""
    for package in _COMPILER_PACKAGES:
        try:
            build = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
        if build.startswith(f"{version}."):
            return build
    return version


def header_folders(major: int) -> tuple[Path, ...]:
    """The folders of CUDA's headers; none if they are not installed.

    Args:
        major: of the version of CUDA that the compiler is of.
    """
    found = (
        next((folder for folder in _candidates(major) if (folder / header).exists()), None)
        for header in (_OF_THE_RUNTIME, _OF_THE_LIBRARIES)
    )
    return tuple(dict.fromkeys(folder for folder in found if folder is not None))


def headers_version(folder: Path) -> str:
    """The version that CUDA's headers in a folder have, such as "12090"; empty if none says it."""
    for header, name in _VERSIONS:
        if (folder / header).is_file():
            text = (folder / header).read_text(encoding="utf-8", errors="replace")
            if match := re.search(rf"#define\s+{name}\s+(\d+)", text):
                return match[1]
    return ""


def _candidates(major: int) -> Iterator[Path]:
    """Where headers may be; those of a toolkit for another compiler would not compile."""
    components = (f"cu{major}", "cuda_runtime", "cuda_cccl")
    packages = [
        package / component / "include" for package in _packages() for component in components
    ]
    toolkits = [folder / "include" for folder in _toolkits()]
    fitting = [each for each in toolkits if headers_version(each)[:-3] == str(major)]
    for place in (*packages, *fitting):
        yield from (place, place / "cccl")


def _packages() -> list[Path]:
    """The folders of the Python package ``nvidia``, which several installations may share."""
    spec = importlib.util.find_spec("nvidia")
    return [Path(folder) for folder in spec.submodule_search_locations or ()] if spec else []


def _toolkits() -> list[Path]:
    named = [Path(os.environ[name]) for name in _TOOLKIT_VARIABLES if os.environ.get(name)]
    return [*named, _USUAL_TOOLKIT]
