"""Runs CUDA kernels on a CPU, from their own source.

``RawKernel`` and ``RawModule`` are used as CuPy's, on NumPy arrays. The package stands alone: it
knows nothing of neural networks, and imports nothing from the rest of gpucnn.
"""

from gpucnn.emulator.raw import RawKernel, RawModule

__all__ = ["RawKernel", "RawModule"]
