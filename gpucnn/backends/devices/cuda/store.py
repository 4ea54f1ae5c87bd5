"""Compiled programs from the disk, or from the compiler and then on the disk."""

from __future__ import annotations

import json
from dataclasses import asdict

from gpucnn.backends.devices.cuda.nvrtc import (
    OPTIONS,
    Program,
    Usage,
    compile_to_cubin,
    compiler_build,
    toolkit_version,
)
from gpucnn.backends.devices.source import KernelSource
from gpucnn.emulator.cache import Cache, cache_key


class ProgramStore:
    """The programs of one architecture.

    Args:
        architecture: such as "sm_90a".
        cache: where they are kept.
    """

    def __init__(self, architecture: str, cache: Cache | None = None) -> None:
        self.architecture = architecture
        self.cache = Cache() if cache is None else cache

    def key(self, source: KernelSource) -> str:
        """A key of everything that the program depends on."""
        return cache_key(
            "cubin with warnings and parameters",
            source.digest(),
            self.architecture,
            " ".join(OPTIONS),
            compiler_build(),
            toolkit_version(),
        )

    def find(self, source: KernelSource) -> Program | None:
        """A program that was compiled before; None where none was, or it is damaged."""
        content = self.cache.get(self.key(source))
        return None if content is None else _decode(content)

    def compile(self, source: KernelSource) -> Program:
        """Compiles a program and keeps it.

        Raises:
            BackendError: as in ``compile_to_cubin``.
        """
        program = compile_to_cubin(source, self.architecture)
        self.cache.put(self.key(source), _encode(program))
        return program


def _encode(program: Program) -> bytes:
    """A line of JSON with all but the cubin, then the cubin."""
    usage = {name: asdict(usage) for name, usage in program.usage.items()}
    fields = {
        "names": dict(program.names),
        "usage": usage,
        "parameters": dict(program.parameters),
        "warnings": program.warnings,
    }
    return json.dumps(fields).encode() + b"\n" + program.cubin


def _decode(content: bytes) -> Program:
    header, _, cubin = content.partition(b"\n")
    fields = json.loads(header)
    usage = {name: Usage(**values) for name, values in fields["usage"].items()}
    warnings = tuple(fields["warnings"])
    return Program(cubin, fields["names"], usage, fields["parameters"], warnings)
