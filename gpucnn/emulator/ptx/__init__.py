"""Runs the PTX that NVIDIA's compiler makes of a kernel, on a CPU.

It shares nothing that decides what a kernel does with the rest of the emulator, which runs the
kernel's C++: so a mistake of one is not a mistake of the other.
"""
