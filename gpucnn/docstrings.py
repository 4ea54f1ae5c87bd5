"""What docstrings say about options, for ``gpucnn list``: one text for the code and the users."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable


def summary(described: Callable[..., object]) -> str:
    """The first line of a docstring, without its markup."""
    return (inspect.getdoc(described) or "").partition("\n")[0].replace("``", "")


def meanings(described: Callable[..., object]) -> dict[str, str]:
    """What a docstring says under "Args:", each entry on one line.

    A class whose docstring lacks an entry has that of its base.
    """
    bases = described.__mro__ if inspect.isclass(described) else (described,)
    found: dict[str, str] = {}
    for base in bases:
        for name, text in _entries(base.__doc__ or ""):
            found.setdefault(name, text)
    return found


def _entries(docstring: str) -> list[tuple[str, str]]:
    text = inspect.cleandoc(docstring)
    match = re.search(r"^Args:\n((?:(?:    .*)?\n?)*)", text, re.MULTILINE)
    if match is None:
        return []
    entries = re.findall(r"^    ([\w, ]+): (.+(?:\n {8}.+)*)", match[1], re.MULTILINE)
    return [
        (name, " ".join(meaning.replace("``", "").split()))
        for names, meaning in entries
        for name in names.split(", ")
    ]
