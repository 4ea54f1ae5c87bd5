"""What the emulator has to know of a preprocessed text: its kernels, and what it must rewrite.

The text has neither comments nor macros nor conditions any more, so words mean what they say. A
scan from token to token keeps track of scopes and of the statement it is in; nothing is parsed
further than that. It finds

- kernels: functions at the scope of a namespace with ``__global__`` before their name;
- arrays of dynamic shared memory, ``extern __shared__ float tile[];``. All of them are one array,
  which the module defines; each declaration is given its name in assembly;
- ``extern "C"``. Each module has a namespace of its own, to which C's functions would not belong;
- what no host can do: inline assembly, and launches from kernels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from gpucnn.emulator.errors import CompilationError

_TOKEN = re.compile(
    r"""(?P<line>^[ \t]*\#[^\n]*)
    |(?P<string>(?:u8|[uUL])?(?:R"(?P<end>[^()\\\s"]{0,16})\((?:.*?\)(?P=end)"|.*)
        |"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?))
    |(?P<word>[^\W\d]\w*)
    |(?P<number>\.?\d(?:[eEpP][+-]|'?\w|\.)*)
    |(?P<mark><<<|[^\s\w])""",
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)
_MARKER = re.compile(r'[ \t]*#[ \t]*(?:line[ \t]+)?(\d+)[ \t]+"((?:\\.|[^"\\])*)"')
_ATTRIBUTES = {
    "__attribute__", "__declspec", "__align__", "__cluster_dims__", "__maxnreg__", "alignas",
    "decltype", "noexcept", "requires", "explicit", "__launch_bounds__",
}  # fmt: skip
"""Words whose parentheses are not a function's."""
_TYPES = {
    "void", "bool", "char", "short", "int", "long", "unsigned", "signed", "float", "double",
    "const", "volatile", "auto", "__restrict__", "__restrict", "size_t",
}  # fmt: skip
"""Words that are no parameter's name."""
_OF_LIMITS = re.compile(
    r"INFINITY|NAN|HUGE_VALF?|M_PI|(?:FLT|DBL)_(?:MAX|MIN|EPSILON|DIG|MANT_DIG)"
    r"|(?:U?(?:CHAR|SHRT|INT|LONG|LLONG)_MAX|(?:CHAR|SHRT|INT|LONG|LLONG)_MIN)"
)
"""Macros of headers of C, which NVRTC does not have unless a header defines them."""


@dataclass(frozen=True)
class Kernel:
    """A ``__global__`` function.

    Attributes:
        name: what finds it: with its namespaces, such as "blur::rows"; plain if it is C.
        expression: what stands for it in the text.
        parameters: the name of each, as far as it has one.
        bounds: the arguments of its ``__launch_bounds__``, as they are written; empty without.
        is_c: whether it is ``extern "C"``, so that it can be found by its plain name.
    """

    name: str
    expression: str
    parameters: tuple[str, ...]
    bounds: str
    is_c: bool


@dataclass(frozen=True)
class Scanned:
    """What a scan found.

    Attributes:
        text: the text, rewritten for the host.
        kernels: by name.
        templates: kernels that are templates, by name.
        dynamic_arrays: the arrays of dynamic shared memory, as the compiler mangles their names.
        warnings: what a GPU's compiler would not take.
    """

    text: str
    kernels: tuple[Kernel, ...]
    templates: Mapping[str, Kernel]
    dynamic_arrays: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    begin: int
    end: int


@dataclass
class _Scope:
    """What braces enclose: a namespace, ``extern "C"``, or anything else (None)."""

    namespaces: tuple[str, ...] | None
    is_c: bool = False


@dataclass
class _Scan:
    prefix: str
    text: str
    array: str
    line: int = 1
    file: str = ""
    counted: int = 0
    scopes: list[_Scope] = field(default_factory=list)
    head: list[_Token] = field(default_factory=list)
    edits: list[tuple[int, int, str]] = field(default_factory=list)
    kernels: dict[str, Kernel] = field(default_factory=dict)
    templates: dict[str, Kernel] = field(default_factory=dict)
    dynamic_arrays: dict[str, None] = field(default_factory=dict)
    warnings: dict[str, None] = field(default_factory=dict)

    def run(self) -> Scanned:
        for token in _tokens(self.text):
            self._take(token)
        return Scanned(
            _edited(self.text, self.edits),
            tuple(self.kernels.values()),
            self.templates,
            tuple(self.dynamic_arrays),
            tuple(self.warnings),
        )

    def _take(self, token: _Token) -> None:
        if token.kind == "line":
            if marker := _MARKER.match(token.text):
                self.line, self.file, self.counted = int(marker[1]) - 1, marker[2], token.begin
            return
        if token.text == "{":
            self._open()
        elif token.text == "}":
            if self.scopes:
                self.scopes.pop()
            self.head.clear()
        elif token.text == ";":
            self._declare(token)
            self.head.clear()
        else:
            self._look_at(token)
            self.head.append(token)

    def _look_at(self, token: _Token) -> None:
        before = self.head[-1].text if self.head else ""
        if before == "extern" and token.text == '"C"':
            self.edits.append((token.begin, token.end, '"C++"'))
        elif token.text == "<<<":
            raise CompilationError(
                f"{self._place(token)}: a kernel is launched from a kernel (<<<>>>), which the "
                "emulator cannot do; launch it from the host"
            )
        elif token.kind == "string" and _is_assembly(self.head) and token.text.strip('" \t'):
            raise CompilationError(
                f"{self._place(token)}: inline assembly, of which the emulator knows the "
                "instructions that kernels/include/ptx has a wrapper for; call the wrapper"
            )
        elif token.kind == "word" and _OF_LIMITS.fullmatch(token.text):
            self._warn(
                token,
                f"{token.text} is defined by no header here, so NVRTC does not know it; define it",
            )

    def _warn(self, token: _Token, words: str) -> None:
        self.warnings.setdefault(f"{self._place(token)}: {words}")

    def _place(self, token: _Token) -> str:
        line = self.line + self.text.count("\n", self.counted, token.begin)
        return f"{self.file}:{line}" if self.file else f"line {line}"

    def _open(self) -> None:
        words = [token.text for token in self.head]
        if "namespace" in words and "using" not in words:
            names = words[words.index("namespace") + 1 :]
            given = tuple(name for name in names if name.isidentifier() and name != "inline")
            self.scopes.append(_Scope(given or ("",)))
        elif words == ["extern", '"C"']:
            self.scopes.append(_Scope((), is_c=True))
        else:
            self._declare_kernel()
            self.scopes.append(_Scope(None))
        self.head.clear()

    def _declare(self, end: _Token) -> None:
        words = {token.text for token in self.head}
        if "extern" in words and "__shared__" in words:
            self._declare_dynamic(end)
        else:
            self._declare_kernel()

    def _declare_dynamic(self, end: _Token) -> None:
        for token in self.head:
            if token.text == "__shared__":
                self.edits.append((token.begin, token.end, "__dynamic_shared__"))
        name = _declared_name(self.head)
        if name is not None:
            spaces = [*self._namespaces(), name.text]
            mangled = "".join(f"{len(each)}{each}" for each in (self.prefix, *map(_space, spaces)))
            self.dynamic_arrays.setdefault(f"_ZN{mangled}E")
            self.edits.append((end.begin, end.begin, f' __asm__("{self.array}")'))

    def _namespaces(self) -> list[str]:
        return [name for scope in self.scopes for name in scope.namespaces or ()]

    def _declare_kernel(self) -> None:
        words = [token.text for token in self.head]
        if "__global__" not in words or any(scope.namespaces is None for scope in self.scopes):
            return
        found = _function(self.head, self.text)
        if found is None:
            return
        name, parameters, bounds = found
        qualified = "::".join([*filter(None, self._namespaces()), name])
        if words[0] == "template":
            if words[1:2] == ["<"]:
                self.templates[qualified] = Kernel(qualified, qualified, parameters, bounds, False)
            return
        is_c = any(scope.is_c for scope in self.scopes) or _follows(words, "extern", '"C"')
        if known := self.kernels.get(qualified):
            # A declaration before the function may have its linkage and its bounds.
            bounds, is_c = bounds or known.bounds, is_c or known.is_c
        found_by = name if is_c else qualified
        self.kernels[qualified] = Kernel(found_by, qualified, parameters, bounds, is_c)


def scan(text: str, prefix: str, array: str) -> Scanned:
    """Finds a text's kernels, and rewrites what the host's compiler would not take.

    Args:
        text: what the preprocessor left.
        prefix: the namespace that the text will stand in.
        array: the name in assembly of the module's dynamic shared memory.

    Raises:
        CompilationError: the text has what the emulator cannot run; file and line.
    """
    return _Scan(prefix, text, array).run()


def _tokens(text: str) -> Iterator[_Token]:
    for match in _TOKEN.finditer(text):
        yield _Token(match.lastgroup or "mark", match[0], match.start(), match.end())


def _edited(text: str, edits: Sequence[tuple[int, int, str]]) -> str:
    parts, done = [], 0
    for begin, end, replacement in sorted(edits):
        parts += [text[done:begin], replacement]
        done = end
    return "".join([*parts, text[done:]])


def _space(name: str) -> str:
    """A namespace as it is mangled."""
    return name or "_GLOBAL__N_1"


def _is_assembly(head: Sequence[_Token]) -> bool:
    """Whether a string that comes next is the text of inline assembly."""
    words = [token.text for token in head[-6:]]
    while words and words[-1] in ("(", "volatile", "__volatile__", "goto", "inline"):
        words.pop()
    return bool(words) and words[-1] in ("asm", "__asm__", "__asm") and head[-1].text == "("


def _follows(words: Sequence[str], first: str, second: str) -> bool:
    return (first, second) in pairwise(words)


def _closing(tokens: Sequence[_Token], opening: int) -> int:
    """Where the parenthesis is closed that a place opens; the last place if nowhere."""
    depth = 0
    for place in range(opening, len(tokens)):
        depth += (tokens[place].text == "(") - (tokens[place].text == ")")
        if depth == 0:
            return place
    return len(tokens) - 1


def _function(tokens: Sequence[_Token], text: str) -> tuple[str, tuple[str, ...], str] | None:
    """Name, parameters' names and launch bounds of what is declared; None if it is no function."""
    bounds, place = "", 0
    while place + 1 < len(tokens):
        name = tokens[place].text
        if tokens[place + 1].text != "(" or not name.isidentifier():
            place += 1
            continue
        end = _closing(tokens, place + 1)
        within = tokens[place + 2 : end]
        if name not in _ATTRIBUTES:
            return name, _parameters([token.text for token in within]), bounds
        if name == "__launch_bounds__":
            bounds = text[tokens[place + 1].end : tokens[end].begin]
        place = end + 1
    return None


def _parameters(words: Sequence[str]) -> tuple[str, ...]:
    if list(words) in ([], ["void"]):
        return ()
    parts: list[list[str]] = [[]]
    depth = 0
    for word in words:
        depth += (word in "([{<") - (word in ")]}>")
        if word == "," and depth == 0:
            parts.append([])
        else:
            parts[-1].append(word)
    return tuple(map(_parameter, parts))


def _parameter(words: list[str]) -> str:
    """A parameter's name; empty if it has none."""
    for mark in ("=", "["):
        if mark in words:
            words = words[: words.index(mark)]
    is_name = len(words) > 1 and words[-1].isidentifier() and words[-1] not in _TYPES
    return words[-1] if is_name else ""


def _declared_name(head: Sequence[_Token]) -> _Token | None:
    """The variable that a declaration declares: the word before its first bracket, or the last."""
    words = [token.text for token in head]
    last = words.index("[") if "[" in words else len(words)
    named = [token for token in head[:last] if token.kind == "word"]
    return named[-1] if named else None
