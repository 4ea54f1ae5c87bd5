"""NVRTC's options, as far as they mean something to the emulator."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gpucnn.emulator.errors import CompilationError

_STANDARD = "17"
_ARCHITECTURE = "sm_90"

_VALUED = {
    "-D": "define-macro", "-U": "undefine-macro", "-I": "include-path", "-include": "pre-include",
    "-std": "std", "-arch": "gpu-architecture", "-maxrregcount": "maxrregcount",
    "-Xptxas": "ptxas-options", "-default-device": "", "-diag-suppress": "diag-suppress",
}  # fmt: skip
"""Short options, and the long ones that they stand for."""
_JOINED = ("-D", "-U", "-I")
"""Short options that need no space or "=" before their value."""

_IGNORED = {
    "use_fast_math", "ftz", "prec-div", "prec-sqrt", "fmad", "extra-device-vectorization",
    "generate-line-info", "lineinfo", "device-debug", "G", "dopt", "Ofast-compile", "maxrregcount",
    "ptxas-options", "restrict", "device-as-default-execution-space", "default-device",
    "disable-warnings", "w", "diag-suppress", "diag-warn", "diag-error", "display-error-number",
    "no-display-error-number", "err-no", "brief-diagnostics", "time", "split-compile", "minimal",
    "builtin-move-forward", "builtin-initializer-list", "modify-stack-limit", "optimization-info",
    "no-source-include", "device-int128", "jump-table-density", "device-stack-protector",
    "relocatable-device-code", "rdc", "device-c", "dc", "device-w", "dw", "O0", "O1", "O2", "O3",
    "extensible-whole-program", "ewp", "pch", "no-cache", "fdevice-time-trace",
}  # fmt: skip
"""What decides how fast or how exact a GPU's code is, or what its compiler prints."""
_OF_THE_COMPILER = {
    "use_fast_math", "ftz", "prec-div", "prec-sqrt", "fmad", "extra-device-vectorization",
    "restrict", "device-as-default-execution-space", "default-device", "device-int128",
    "builtin-move-forward", "builtin-initializer-list", "disable-warnings", "w", "diag-suppress",
    "diag-warn", "diag-error", "display-error-number", "no-display-error-number", "err-no",
}  # fmt: skip
"""Of those, the ones that change the PTX which NVRTC makes, or its warnings."""
_WITH_VALUE = {"maxrregcount", "ptxas-options", "diag-suppress", "diag-warn", "diag-error"}
"""Of those, the ones whose value may be the next word."""


@dataclass(frozen=True)
class Options:
    """What options say.

    Attributes:
        macros: "-DN=16" and "-UN", in order, for the host's preprocessor.
        folders: where headers are.
        included: headers before the text.
        standard: of C++, such as "17".
        architecture: of the GPU, such as "sm_90a".
        of_the_compiler: what NVRTC alone looks at, as it was written.
    """

    macros: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()
    included: tuple[str, ...] = ()
    standard: str = _STANDARD
    architecture: str = _ARCHITECTURE
    of_the_compiler: tuple[str, ...] = ()

    @property
    def capability(self) -> int:
        """What ``__CUDA_ARCH__`` is a tenth of."""
        return capability_of(self.architecture)


def capability_of(architecture: str) -> int:
    """90 for "sm_90a"."""
    return int(architecture.removeprefix("sm_").rstrip("af"))


def parse_options(options: Sequence[str]) -> Options:
    """What NVRTC's options mean here.

    Those about speed and accuracy mean nothing unless NVRTC compiles the kernel, in mode ptx.

    Args:
        options: such as "-DN=16", "-I", "folder", "--std=c++17", "--use_fast_math".

    Raises:
        CompilationError: an option that NVRTC does not have, or whose value is none.
    """
    macros: list[str] = []
    folders: list[Path] = []
    included: list[str] = []
    of_the_compiler: list[str] = []
    standard, architecture = _STANDARD, _ARCHITECTURE
    for name, value, words in _named(options):
        if name in ("define-macro", "undefine-macro"):
            macros.append(f"-{name[0].upper()}{value}")
        elif name == "include-path":
            folders.append(Path(value).absolute())
        elif name == "pre-include":
            included.append(value)
        elif name == "std":
            standard = _matched(name, value, r"(?:c|gnu)\+\+(\d\d)")
        elif name == "gpu-architecture":
            architecture = f"sm_{_matched(name, value, r'(?:sm|compute)_([0-9]+[af]?)')}"
        elif name in _OF_THE_COMPILER:
            of_the_compiler += words
    return Options(
        tuple(macros),
        tuple(folders),
        tuple(included),
        standard,
        architecture,
        tuple(of_the_compiler),
    )


def _named(options: Sequence[str]) -> Iterator[tuple[str, str, list[str]]]:
    """The long name of each option, its value, empty for one that has none, and its words."""
    waiting = iter(options)
    for option in waiting:
        name, value = _split(option)
        if name in _IGNORED:
            words = [option]
            if name in _WITH_VALUE and not value:
                words.append(next(waiting, ""))
            yield name, value, words
            continue
        if name not in _VALUED.values() or not name:
            raise CompilationError(f'"{option}" is not an option of NVRTC; leave it out')
        value = value or next(waiting, "")
        if not value:
            raise CompilationError(f'the option "{option}" needs a value, as in {option}=…')
        yield name, value, [option]


def _split(option: str) -> tuple[str, str]:
    """The long name and the value of "-DN=16", "--define-macro=N=16" or "-D"."""
    for short in _JOINED:
        if option.startswith(short):
            return _VALUED[short], option.removeprefix(short).strip()
    name, _, value = option.partition("=")
    if _VALUED.get(name):
        return _VALUED[name], value
    return name.lstrip("-"), value


def _matched(name: str, value: str, pattern: str) -> str:
    match = re.fullmatch(pattern, value)
    if match is None:
        raise CompilationError(f'"{value}" is not a value of the option --{name}')
    return match[1]
