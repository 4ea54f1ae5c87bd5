"""A kernel file's text and its headers', each where it is included."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from gpucnn.backends.devices.source_text import (
    check_depth,
    find_header,
    read_text,
    without_comments,
)
from gpucnn.errors import BackendError
from gpucnn.text import shown

_DIRECTIVE = re.compile(r"[ \t]*#[ \t]*(?P<word>\w+)[ \t]*(?P<rest>.*)")
_MOST_INCLUSIONS = 2_000
_NAME = re.compile(r'[<"](?P<name>[^>"]+)[>"]')


class Piece(NamedTuple):
    """Lines of a file that stand together.

    Attributes:
        path: the file.
        line: the number of the first.
        text: the lines.
    """

    path: Path
    line: int
    text: str


class Inclusion:
    """Puts headers where they are included; conditions are left to the compiler.

    Args:
        folders: where headers are, besides beside the file that includes them.
        prefix: of macros that guard headers which a condition may have left out before.
        passed_over: headers of those folders that are included in another way.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        prefix: str = "",
        passed_over: Callable[[Path], bool] = lambda _: False,
    ) -> None:
        self._folders = folders
        self._prefix = prefix
        self._passed_over = passed_over
        self._included: set[Path] = set()
        self._guards: dict[Path, str] = {}
        self._count = 0

    def pieces(self, path: Path) -> list[Piece]:
        """The file's lines and its headers', in the order in which the compiler reads them.

        What is found in no folder stays as it is written.

        Raises:
            BackendError: a file cannot be read, or headers include each other too deeply or too
                often.
        """
        return list(self._pieces(path, False, ()))

    def _pieces(self, path: Path, conditional: bool, within: tuple[Path, ...]) -> Iterator[Piece]:
        lines = read_text(path).split("\n")
        depth, begin = 0, 0
        for number, line in enumerate(without_comments(read_text(path)).split("\n")):
            directive = _DIRECTIVE.match(line)
            word = directive["word"] if directive else ""
            if word.startswith("if"):
                depth += 1
            elif word == "endif":
                depth -= 1
            elif directive and word == "pragma" and directive["rest"].split() == ["once"]:
                lines[number] = ""
            elif directive and word == "include":
                header = self._header(directive["rest"], path)
                if header is not None:
                    yield Piece(path, begin + 1, "\n".join(lines[begin:number]))
                    begin = number + 1
                    yield from self._header_pieces(header, conditional or depth > 0, within)
        yield Piece(path, begin + 1, "\n".join(lines[begin:]))

    def _header(self, rest: str, path: Path) -> Path | None:
        match = _NAME.match(rest)
        return find_header(match["name"], path, self._folders) if match else None

    def _header_pieces(
        self, header: Path, conditional: bool, within: tuple[Path, ...]
    ) -> Iterator[Piece]:
        # One that includes itself has a guard, by which nothing comes of it.
        if header in self._included or header in within or self._passed_over(header):
            return
        check_depth(header, len(within))
        self._count += 1
        if self._count > _MOST_INCLUSIONS:
            raise BackendError(
                f"{shown(header)}: this header and others are included {_MOST_INCLUSIONS:,} times "
                f"by one kernel file; begin them with #pragma once"
            )
        once = _is_once(read_text(header))
        pieces = self._pieces(header, conditional, (*within, header))
        if once and (conditional or header in self._guards):
            guard = self._guards.setdefault(header, f"{self._prefix}_once_{len(self._guards)}")
            yield Piece(header, 1, f"#ifndef {guard}\n#define {guard}")
            yield from pieces
            yield Piece(header, 1, "#endif")
        else:
            yield from pieces
        if once and not conditional:
            self._included.add(header)


def _is_once(text: str) -> bool:
    return re.search(r"^[ \t]*#[ \t]*pragma[ \t]+once\b", without_comments(text), re.M) is not None
