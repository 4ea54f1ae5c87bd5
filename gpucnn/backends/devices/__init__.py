"""Machines that run the kernels: an NVIDIA GPU through CuPy, or the emulator on a CPU."""
