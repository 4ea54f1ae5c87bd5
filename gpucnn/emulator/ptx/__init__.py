"""Runs what the compiler made of a kernel: PTX, on a CPU.

The C++ emulator runs a kernel's source, and takes inline assembly for what its opcode says. This
package runs the text that NVRTC makes of the same source, so it also sees the operands of inline
assembly and whatever the compiler did. It shares nothing with the C++ emulator that decides what a
kernel does: a mistake in one of them does not hide in the other.

``nvrtc`` compiles, ``parser`` reads the text, ``assembler`` turns it into instructions for
``executor``, which is C++ (``executor/``) and carries each out for a warp of 32 lanes. ``program``
puts them together; ``engine`` has the interface of the C++ emulator.
"""
