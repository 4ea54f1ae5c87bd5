"""The words of a text of PTX."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gpucnn.emulator.errors import CompilationError

_TOKEN = re.compile(
    r"""\s+ | //[^\n]* | /\*.*?\*/
    | (?P<location>\.loc\s[^\n]*)
    | (?P<line>\.(?:file|version|target|address_size|alias)\b[^\n;]*;?)
    | (?P<section>\.section\s[^{]*\{[^}]*\})
    | (?P<word>[A-Za-z_$%][\w$]*(?:(?:\.|::)[\w$]+)*)
    | (?P<directive>\.[A-Za-z_]\w*)
    | (?P<bits>0[fF][0-9A-Fa-f]{8}|0[dD][0-9A-Fa-f]{16})
    | (?P<float>[0-9]+\.[0-9]*(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)
    | (?P<integer>0[xX][0-9A-Fa-f]+U?|0[bB][01]+U?|[0-9]+U?)
    | (?P<string>"[^"]*")
    | (?P<mark>[{}()\[\],;:=+\-!|@<>~*&])
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A word, a number or a mark.

    Attributes:
        kind: the name of its group in the pattern above; "end" after the last one.
        text: as it is written. Whole lines of ``.loc`` and the like are one token.
    """

    kind: str
    text: str


_END = Token("end", "")


class Tokens:
    """The tokens of a text, read one after the other.

    Raises:
        CompilationError: the text has something that is no token.
    """

    def __init__(self, text: str) -> None:
        self._tokens: list[Token] = []
        self._place = 0
        place = 0
        while place < len(text):
            match = _TOKEN.match(text, place)
            if match is None:
                line = text.count("\n", 0, place) + 1
                raise CompilationError(
                    f"PTX, line {line}: {text[place : place + 20]!r} is not understood"
                )
            if match.lastgroup is not None:
                self._tokens.append(Token(match.lastgroup, match[0]))
            place = match.end()

    def peek(self, distance: int = 0) -> Token:
        """The next token, or one after it, which stays where it is."""
        place = self._place + distance
        return self._tokens[place] if place < len(self._tokens) else _END

    def next(self) -> Token:
        """The next token, which is passed."""
        token = self.peek()
        self._place += 1
        return token

    def back(self) -> None:
        """Returns to the token before."""
        self._place -= 1

    def pass_to(self, text: str) -> None:
        """Passes all tokens up to this one, and it.

        Raises:
            CompilationError: it does not come.
        """
        while not self.accept(text):
            if self.next().kind == "end":
                raise self.unexpected(f'"{text}" is expected')

    def accept(self, text: str) -> bool:
        """Passes the next token if it is this one; returns whether it was."""
        is_it = self.peek().text == text
        self._place += is_it
        return is_it

    def expect(self, text: str) -> None:
        """Passes the next token.

        Raises:
            CompilationError: it is another one.
        """
        if not self.accept(text):
            raise self.unexpected(f'"{text}" is expected')

    def integer(self) -> int:
        """Passes a whole number, written as in C: a leading zero means octal digits.

        Raises:
            CompilationError: it is none.
        """
        is_negative = self.accept("-")
        token = self.next()
        if token.kind != "integer":
            raise self.unexpected("a whole number is expected")
        digits = token.text.rstrip("U")
        is_octal = digits.isdecimal() and digits.startswith("0")
        try:
            value = int(digits, 8 if is_octal else 0)
        except ValueError as error:
            raise self.unexpected("a number of 64 bits is expected") from error
        if value >= 1 << 64:
            raise self.unexpected("a number of 64 bits is expected")
        return -value if is_negative else value

    def unexpected(self, expected: str) -> CompilationError:
        """What to raise if something else should be here."""
        nearby = self._tokens[max(self._place - 6, 0) : self._place + 3]
        return CompilationError(f"PTX: {expected} near {' '.join(t.text for t in nearby)!r}")
