"""Importing CuPy, on machines whose home cannot be written to as well."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from gpucnn.emulator.scratch import scratch_folder_of

_CACHE_VARIABLE = "CUPY_CACHE_DIR"


def is_installed() -> bool:
    """Whether there is a CuPy to import, which may still fail."""
    return importlib.util.find_spec("cupy") is not None


def import_cupy() -> Any:
    """The module.

    When it is imported, CuPy makes a folder in the user's home for kernels that it compiles itself.
    Where that is not possible it is given another one. gpucnn has no use for the folder, so it
    stays empty; but without one there would be no CuPy.

    Raises:
        Exception: whatever importing CuPy raises where it is not installed, or broken.
    """
    is_new = "cupy" not in sys.modules and is_installed()
    if is_new and _CACHE_VARIABLE not in os.environ and not _has_usable_folder():
        os.environ[_CACHE_VARIABLE] = str(_temporary_folder())
    return importlib.import_module("cupy")


def _has_usable_folder() -> bool:
    """Whether CuPy's own folder is there, or can be made, and can be written to."""
    try:
        folder = Path.home() / ".cupy" / "kernel_cache"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # or there is no home at all
        return False
    return os.access(folder, os.W_OK | os.X_OK)


@lru_cache(maxsize=1)
def _temporary_folder() -> Path:
    """A folder of our own, removed when the process ends."""
    return scratch_folder_of(_temporary_folder)
