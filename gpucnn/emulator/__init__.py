"""Runs CUDA kernels on a CPU, from their own source.

``RawKernel`` and ``RawModule`` are used as CuPy's, on NumPy arrays. The package stands alone: it
knows nothing of neural networks, and imports nothing from the rest of gpucnn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpucnn.emulator.raw import RawKernel, RawModule

__all__ = ["RawKernel", "RawModule"]


def __getattr__(name: str) -> Any:
    """The public names, imported when they are first used: the rest here needs no NumPy."""
    if name in __all__:
        from gpucnn.emulator import raw

        return getattr(raw, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
