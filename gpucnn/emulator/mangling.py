"""What compilers make of the names of functions and variables.

The form is that of the Itanium C++ ABI, section 5.1: "_Z", letters, and for each identifier its
length and itself; then, of an instance of a template, "I" and what it is an instance for.
"""

from __future__ import annotations

import re


def is_mangled(name: str) -> bool:
    """Whether a name is not as its author has written it, as that of an ``extern "C"`` function."""
    return name.startswith("_Z")


def identifiers(mangled: str) -> list[str]:
    """The identifiers at the beginning of a mangled name, outermost first."""
    return _parts(mangled)[0]


def source_name(name: str) -> str:
    """What an author calls what a compiler gave a name to, without arguments: "outer::scale"."""
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
