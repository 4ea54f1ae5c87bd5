"""NVIDIA GPUs through CuPy: NVRTC to cubin, arrays in CuPy's memory pool, launches on a stream.

CuPy is imported where it is used first, never by importing this package.
"""
