"""The host's C++ compiler: which it is, and what its code depends on."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from gpucnn.emulator.errors import EmulatorError


@dataclass(frozen=True)
class Compiler:
    """A C++ compiler.

    Attributes:
        command: its program, and options that CXX gives it.
        version: what it says of itself.
    """

    command: tuple[str, ...]
    version: str

    @property
    def is_gnu(self) -> bool:
        """Whether it is g++; otherwise it is taken for clang++."""
        return "Free Software Foundation" in self.version

    @property
    def name(self) -> str:
        """Its version in a line."""
        return self.version.partition("\n")[0]


def compiler() -> Compiler:
    """The C++ compiler: what CXX names and nothing else, or g++, or clang++.

    Raises:
        EmulatorError: there is none, or what CXX names does not work.
    """
    return _compiler(os.environ.get("CXX", "").strip())


@cache
def _compiler(chosen: str) -> Compiler:
    for command in [_words(chosen)] if chosen else [["g++"], ["clang++"]]:
        if shutil.which(command[0]):
            return Compiler(tuple(command), _version(command))
    if chosen:
        raise EmulatorError(
            f"CXX is {chosen!r}, and there is no such program; set it to another, or unset it"
        )
    raise EmulatorError(
        "the emulator compiles kernels with the host's C++ compiler, and there is none; "
        "install g++ (Debian and Ubuntu: apt install g++), or name one in CXX"
    )


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as error:
        raise EmulatorError(f"CXX is {command!r}, which a shell could not read: {error}") from error


def _version(command: Sequence[str]) -> str:
    try:
        done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
    except OSError as error:
        raise EmulatorError(f"{shlex.join(command)} cannot be run: {error.strerror}") from error
    if done.returncode or not done.stdout.strip():
        raise EmulatorError(
            f"{shlex.join(command)} is no C++ compiler: asked for its --version, it ends with "
            f"status {done.returncode}; set CXX to one, or unset it"
        )
    return done.stdout


@cache
def native_option() -> str:
    """The option that lets the compiler use all that this processor has."""
    return "-mcpu=native" if platform.machine() in ("aarch64", "arm64") else "-march=native"


@cache
def processor(used: Compiler) -> str:
    """What distinguishes processors for ``-march=native``."""
    command = [*used.command, native_option(), "-E", "-v", "-x", "c++", os.devnull]
    report = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    return next((line for line in report.splitlines() if "cc1" in line), report)


@cache
def knows(used: Compiler, options: tuple[str, ...]) -> bool:
    """Whether the compiler takes these options."""
    command = [*used.command, *options, "-fsyntax-only", "-x", "c++", os.devnull]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
