"""NVIDIA's run-time compiler NVRTC, called through ctypes; needs neither a GPU nor a driver.

The functions are described in NVIDIA's documentation of NVRTC, under "User Interface".
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Literal, NamedTuple, TypeAlias

from gpucnn.emulator.errors import EmulatorError
from gpucnn.emulator.ptx.toolkit import INSTALL_COMPILER, compiler_build, compiler_libraries

Product: TypeAlias = Literal["PTX", "CUBIN"]
"""What a text can be compiled to."""

_Program: TypeAlias = ctypes.c_void_p
_FUNCTIONS = (
    "nvrtcVersion",
    "nvrtcGetNumSupportedArchs",
    "nvrtcGetSupportedArchs",
    "nvrtcCreateProgram",
    "nvrtcAddNameExpression",
    "nvrtcCompileProgram",
    "nvrtcGetProgramLogSize",
    "nvrtcGetProgramLog",
    "nvrtcGetLoweredName",
    "nvrtcDestroyProgram",
    *(f"nvrtcGet{product}{size}" for product in ("PTX", "CUBIN") for size in ("", "Size")),
)
_COMPILATION, _INVALID_OPTION, _NAME_EXPRESSION = 6, 5, 10
"""NVRTC_ERROR_COMPILATION, _INVALID_OPTION and _NAME_EXPRESSION_NOT_VALID: the author's errors."""


class RefusedError(EmulatorError):
    """NVRTC does not compile a text; the message is its log."""


class MissingError(EmulatorError):
    """NVRTC is not installed, or cannot be loaded; the message says what to do."""


class Compiled(NamedTuple):
    """What NVRTC makes of a text.

    Attributes:
        code: PTX, without the zero at its end, or a cubin.
        log: warnings, and what ptxas writes.
        names: the compiler's name for each of the name expressions.
    """

    code: bytes
    log: str
    names: dict[str, str]


class Nvrtc:
    """The compiler.

    Args:
        library: its file, or a name for the loader.

    Raises:
        OSError: it cannot be loaded, or is no NVRTC.
    """

    def __init__(self, library: str) -> None:
        loaded = ctypes.CDLL(library)
        for name in _FUNCTIONS:
            if not hasattr(loaded, name):
                raise OSError(f"{library} has no function {name}")
        self._library = loaded
        loaded.nvrtcGetErrorString.restype = ctypes.c_char_p
        major, minor = ctypes.c_int(), ctypes.c_int()
        self._call("nvrtcVersion", ctypes.byref(major), ctypes.byref(minor))
        self.version = major.value, minor.value
        self.architectures = self._architectures()

    @property
    def build(self) -> str:
        """The version, to the last digit if its package says it, such as "12.9.86"."""
        return compiler_build(".".join(map(str, self.version)))

    def compile(
        self,
        product: Product,
        text: str,
        name: str,
        options: Sequence[str],
        expressions: Sequence[str] = (),
    ) -> Compiled:
        """Compiles a text. Threads may do so side by side.

        Args:
            product: what to make of it.
            text: CUDA C++.
            name: the file that messages name.
            options: as NVRTC's documentation has them.
            expressions: names of kernels in the source, such as "scale<float>".

        Raises:
            RefusedError: it does not compile, or NVRTC does not know an option.
        """
        with self._program(text, name) as program:
            for expression in expressions:
                self._call("nvrtcAddNameExpression", program, _encoded(expression))
            words = [_encoded(option) for option in options]
            status = self._library.nvrtcCompileProgram(
                program, len(words), (ctypes.c_char_p * len(words))(*words)
            )
            log = self._content(program, "ProgramLog").rstrip(b"\0").decode(errors="replace")
            if status in (_COMPILATION, _INVALID_OPTION, _NAME_EXPRESSION):
                raise RefusedError(log.strip() or self._words(status))
            self._check(status)
            code = self._content(program, product)
            if product == "PTX":
                code = code.rstrip(b"\0")
            return Compiled(code, log, {each: self._name(program, each) for each in expressions})

    def _architectures(self) -> tuple[int, ...]:
        count = ctypes.c_int()
        self._call("nvrtcGetNumSupportedArchs", ctypes.byref(count))
        found = (ctypes.c_int * count.value)()
        self._call("nvrtcGetSupportedArchs", found)
        return tuple(found)

    @contextmanager
    def _program(self, text: str, name: str) -> Iterator[_Program]:
        program = _Program()
        self._call(
            "nvrtcCreateProgram",
            ctypes.byref(program),
            _encoded(text),
            _encoded(name),
            0,
            None,
            None,
        )
        try:
            yield program
        finally:
            self._library.nvrtcDestroyProgram(ctypes.byref(program))

    def _content(self, program: _Program, what: str) -> bytes:
        size = ctypes.c_size_t()
        self._call(f"nvrtcGet{what}Size", program, ctypes.byref(size))
        content = ctypes.create_string_buffer(size.value)
        self._call(f"nvrtcGet{what}", program, content)
        return content.raw

    def _name(self, program: _Program, expression: str) -> str:
        name = ctypes.c_char_p()
        self._call("nvrtcGetLoweredName", program, _encoded(expression), ctypes.byref(name))
        return (name.value or b"").decode()

    def _call(self, function: str, *arguments: object) -> None:
        self._check(getattr(self._library, function)(*arguments))

    def _check(self, status: int) -> None:
        if status:
            raise EmulatorError(f"NVRTC fails: {self._words(status)}")

    def _words(self, status: int) -> str:
        words: bytes = self._library.nvrtcGetErrorString(status)
        return words.decode()


def _encoded(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


@cache
def nvrtc() -> Nvrtc:
    """The compiler that is installed.

    Raises:
        MissingError: none is, or it cannot be loaded.
    """
    why: list[str] = []
    for library in compiler_libraries():
        try:
            return Nvrtc(library)
        except OSError as error:
            why.append(str(error))
    raise MissingError(
        f"NVIDIA's run-time compiler NVRTC is missing ({why[0]}); {INSTALL_COMPILER}"
    )


def why_unavailable() -> str:
    """One sentence on why NVRTC cannot be used here; empty if it can."""
    try:
        nvrtc()
    except MissingError as error:
        return str(error)
    return ""
