"""Which lines of a file the preprocessor leaves in, as far as that decides which kernels there are.

The compilers preprocess for themselves. This is for what has to be known of a file before: its
kernels, which may stand under conditions, or behind macros.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from gpucnn.backends.devices.inclusion import Piece
from gpucnn.backends.devices.source_text import without_comments

_DIRECTIVE = re.compile(r"\s*#\s*(?P<word>\w+)\s*(?P<rest>.*)", re.DOTALL)
_DEFINITION = re.compile(r"(?P<name>\w+)(?P<parameters>\([^()]*\))?\s*(?P<body>.*)", re.DOTALL)
_TOKEN = re.compile(r"\s*(\d[\w']*|\w+|&&|\|\||<<|>>|[=!<>]=|[-+*/%<>!~&|^?:()])")
_DEEPEST = 32
"""Macros within macros; one that goes deeper is its own."""
_LONGEST = 1 << 16
"""Characters of a line or condition, beyond which its macros are not replaced any further."""
_HIGHEST = 1 << 64
"""Numbers of a condition are smaller."""

_Binary = Callable[[int, int], int]


def _checked_shift(count: int) -> int:
    if not 0 <= count < 64:
        raise ValueError(f"a shift by {count}")
    return count


_LEVELS: tuple[dict[str, _Binary], ...] = (
    {"||": lambda a, b: int(bool(a or b))},
    {"&&": lambda a, b: int(bool(a and b))},
    {"|": operator.or_},
    {"^": operator.xor},
    {"&": operator.and_},
    {"==": operator.eq, "!=": operator.ne},
    {"<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge},
    {"<<": lambda a, b: a << _checked_shift(b), ">>": lambda a, b: a >> _checked_shift(b)},
    {"+": operator.add, "-": operator.sub},
    {"*": operator.mul, "/": lambda a, b: a // b if b else 0, "%": lambda a, b: a % b if b else 0},
)
"""The operators of a condition, those that bind least first."""


class _Macro(NamedTuple):
    """A macro: the names of its parameters, None if it has none, and what it stands for."""

    parameters: tuple[str, ...] | None
    body: str


class Conditions:
    """Reads the pieces of a file and its headers as the preprocessor does.

    A condition that it does not understand holds.

    Args:
        macros: what is defined before, by name.
        shown: words that are looked for, which a macro may hide: such macros are replaced.
    """

    def __init__(self, macros: dict[str, str], shown: Sequence[str]) -> None:
        self._macros = {name: _Macro(None, body) for name, body in macros.items()}
        self._shown = re.compile("|".join(map(re.escape, shown)))
        # Of each condition around the line, outermost first: whether its branch is read (none is
        # within a branch that is not), and whether a branch of it has been read.
        self._branches: list[tuple[bool, bool]] = []

    def lines(self, pieces: Sequence[Piece]) -> Iterator[Piece]:
        """The lines that are left in, one a piece, without directives and comments."""
        for piece in pieces:
            number = piece.line
            text = without_comments(piece.text)
            for line in re.split(r"(?<!\\)\n", text):
                directive = _DIRECTIVE.match(line)
                joined = line.replace("\\\n", " ")
                if directive:
                    self._direct(directive["word"], directive["rest"].replace("\\\n", " ").strip())
                elif self._active:
                    yield Piece(piece.path, number, self._expanded(joined))
                number += line.count("\n") + 1

    @property
    def _active(self) -> bool:
        return not self._branches or self._branches[-1][0]

    def _direct(self, word: str, rest: str) -> None:
        if word in ("if", "ifdef", "ifndef"):
            held = self._active and self._holds(word, rest)
            self._branches.append((held, held))
        elif word in ("elif", "else") and self._branches:
            _, taken = self._branches.pop()
            held = not taken and self._active and (word == "else" or self._holds("if", rest))
            self._branches.append((held, taken or held))
        elif word == "endif" and self._branches:
            self._branches.pop()
        elif word == "define" and self._active:
            self._define(rest)
        elif word == "undef" and self._active:
            self._macros.pop(rest, None)

    def _define(self, rest: str) -> None:
        if match := _DEFINITION.match(rest):
            listed = match["parameters"]
            names = None if listed is None else tuple(re.findall(r"\w+", listed))
            self._macros[match["name"]] = _Macro(names, match["body"])

    def _holds(self, word: str, rest: str) -> bool:
        if word == "ifdef":
            return rest in self._macros
        if word == "ifndef":
            return rest not in self._macros
        known = re.sub(
            r"\bdefined\s*(?:\(\s*(\w+)\s*\)|(\w+))",
            lambda match: str(int((match[1] or match[2]) in self._macros)),
            rest,
        )
        try:
            return bool(_Condition(self._replaced(known)).value())
        except (ValueError, IndexError, RecursionError):
            return True

    def _replaced(self, text: str, deep: int = 0) -> str:
        """A condition whose macros are replaced; names that are none are 0.

        Raises:
            ValueError: it becomes too long.
        """

        def value(match: re.Match[str]) -> str:
            if match[0] in ("true", "false"):
                return str(int(match[0] == "true"))
            macro = self._macros.get(match[0])
            if macro is None or macro.parameters is not None or deep > _DEEPEST:
                return "0"
            return f"({self._replaced(macro.body, deep + 1)})"

        # Each level is checked, because lengths may double from one to the next.
        replaced = re.sub(r"\b[A-Za-z_]\w*", value, text)
        if len(replaced) > _LONGEST:
            raise ValueError("the condition is too long")
        return replaced

    def _expanded(self, line: str, deep: int = 0) -> str:
        """A line whose macros are replaced that stand for one of the words looked for."""
        for name, macro in self._macros.items():
            if deep > _DEEPEST or len(line) > _LONGEST:
                break
            if name in line and self._hides(macro):
                arguments = "" if macro.parameters is None else r"\s*\(((?:[^()]|\([^()]*\))*)\)"
                found = re.search(rf"\b{name}\b{arguments}", line)
                if found:
                    body = macro.body
                    if macro.parameters:
                        body = _substituted(macro, found[1].split(","))
                    line = line[: found.start()] + body + line[found.end() :]
                    return self._expanded(line, deep + 1)
        return line

    def _hides(self, macro: _Macro) -> bool:
        """Whether a macro stands for a word that is looked for, itself or by way of others."""
        waiting = [macro]
        seen: set[str] = set()
        while waiting:
            body = waiting.pop().body
            if self._shown.search(body):
                return True
            new = self._macros.keys() & set(re.findall(r"\b[A-Za-z_]\w*", body)) - seen
            waiting += (self._macros[name] for name in new)
            seen |= new
        return False


def _substituted(macro: _Macro, arguments: Sequence[str]) -> str:
    values = dict(zip(macro.parameters or (), map(str.strip, arguments), strict=False))
    body = re.sub(r"\b\w+\b", lambda match: values.get(match[0], match[0]), macro.body)
    return re.sub(r"\s*##\s*", "", body)


class _Condition:
    """The value of a condition of numbers.

    Raises:
        ValueError, IndexError: it is something else.
    """

    def __init__(self, text: str) -> None:
        self._tokens: list[str] = []
        begin = 0
        while text[begin:].strip():
            match = _TOKEN.match(text, begin)
            if match is None:
                raise ValueError(text)
            self._tokens.append(match[1])
            begin = match.end()

    def value(self) -> int:
        value = self._choice()
        if self._tokens:
            raise ValueError(self._tokens[0])
        return value

    def _choice(self) -> int:
        condition = self._binary(0)
        if not self._take("?"):
            return condition
        first = self._choice()
        self._need(":")
        second = self._choice()
        return first if condition else second

    def _binary(self, level: int) -> int:
        if level == len(_LEVELS):
            return self._unary()
        value = self._binary(level + 1)
        while self._tokens and self._tokens[0] in _LEVELS[level]:
            operation = _LEVELS[level][self._tokens.pop(0)]
            value = int(operation(value, self._binary(level + 1)))
            if abs(value) >= _HIGHEST:
                raise ValueError("a number is too large")
        return value

    def _unary(self) -> int:
        token = self._tokens.pop(0)
        if token == "(":
            value = self._choice()
            self._need(")")
            return value
        if token in "!-+~":
            value = self._unary()
            return {"!": int(not value), "-": -value, "+": value, "~": ~value}[token]
        return int(token.replace("'", "").rstrip("uUlL"), 0)

    def _take(self, token: str) -> bool:
        if self._tokens[:1] != [token]:
            return False
        self._tokens.pop(0)
        return True

    def _need(self, token: str) -> None:
        if not self._take(token):
            raise ValueError(token)
