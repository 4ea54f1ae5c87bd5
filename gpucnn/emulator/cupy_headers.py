"""The headers that CuPy brings for kernels, such as cupy/carray.cuh."""

from __future__ import annotations

import importlib.util
from pathlib import Path

_INCLUDE = Path("_core") / "include"


def cupy_include_folder() -> Path | None:
    """The folder in which CuPy's headers are, found without importing CuPy; None without them.

    CuPy adds this folder to the include path of every kernel that it compiles.
    """
    try:
        spec = importlib.util.find_spec("cupy")
    except ValueError:  # A module in CuPy's place that was not imported from a file.
        return None
    packages = spec.submodule_search_locations if spec else None
    folders = (Path(package) / _INCLUDE for package in packages or ())
    return next((folder for folder in folders if (folder / "cupy").is_dir()), None)
