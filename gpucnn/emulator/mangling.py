"""What compilers make of the names of functions and variables.

The form is that of the Itanium C++ ABI, section 5.1: "_Z", letters, and for each identifier its
length and itself; then, of an instance of a template, "I" and what it is an instance for.
"""

from __future__ import annotations

import re

_LOCAL = re.compile(r"_ZZ.*E(\d+)(\w+)")
"""What a function has: the function, "E", and the length and the letters of its name."""


def is_mangled(name: str) -> bool:
    """Whether a name is not as its author has written it, as that of an ``extern "C"`` function."""
    return name.startswith("_Z")


def identifiers(mangled: str) -> list[str]:
    """The identifiers at the beginning of a mangled name, outermost first."""
    return _parts(mangled)[0]


def source_name(name: str) -> str:
    """What an author calls what a compiler gave a name to, without arguments: "outer::scale".

    A variable of a function has its own name alone.
    """
    if local := _LOCAL.match(name):
        return local[2][: int(local[1])]
    return "::".join(identifiers(name)) if is_mangled(name) else name


def is_instance(mangled: str) -> bool:
    """Whether a mangled name is that of an instance of a template."""
    return _parts(mangled)[1].startswith("I")


def _parts(mangled: str) -> tuple[list[str], str]:
    """The identifiers, and what follows them."""
    rest = re.sub("^_Z[NZLK]*", "", mangled)
    found = []
    while match := re.match(r"L?(\d+)", rest):
        begin, length = match.end(), int(match[1])
        found.append(rest[begin : begin + length])
        rest = rest[begin + length :]
    return found, rest
