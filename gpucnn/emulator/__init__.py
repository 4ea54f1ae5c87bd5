"""Runs CUDA kernels on a CPU, from their own source."""

from gpucnn.emulator.raw import RawKernel

__all__ = ["RawKernel"]
