"""What a run ran on, for the run folder and for ``gpucnn doctor``."""

from __future__ import annotations

import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from gpucnn import plugins
from gpucnn.backends.base import Backend
from gpucnn.processor import available_cores, processor_name

_PACKAGES = (
    "gpucnn",
    "numpy",
    "safetensors",
    "threadpoolctl",
    "msgspec",
    "pillow",
    "cupy",
    "cupy-cuda12x",
    "cupy-cuda13x",
    "nvidia-cuda-nvrtc-cu12",
    "nvidia-cuda-nvrtc",
)


def describe(backend: Backend) -> dict[str, object]:
    """Versions, device and revision, as JSON can hold them."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor_name(),
        "cores": available_cores(),
        "backend": backend.name,
        "device": backend.hardware(),
        "precision": backend.precision,
        "packages": packages(),
        "plugins": plugins.described(),
        "git_commit": git_commit(),
        "command": sys.argv,
    }


def packages() -> dict[str, str]:
    """The versions of the packages that matter, those that are installed."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def git_commit() -> str | None:
    """The commit of the checkout this package runs from, "-dirty" if changed; None elsewhere."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None
