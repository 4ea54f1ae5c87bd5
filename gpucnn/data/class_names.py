"""Names of classes in messages: a few of many, and why two that look alike are not the same."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from gpucnn.text import shown

_MOST_NAMES = 5


def listed(names: Iterable[str]) -> str:
    """The names, or the first few and how many there are besides."""
    all_names = [shown(name) for name in names]
    text = ", ".join(all_names[:_MOST_NAMES])
    rest = len(all_names) - _MOST_NAMES
    return text if rest <= 0 else f"{text} and {rest:,} more"


def with_counts(
    classes: Sequence[str], counts: NDArray[np.int64], chosen: NDArray[np.bool_]
) -> str:
    """The chosen classes and how many images each has, such as "the class cat (1 image)"."""
    names = [
        f"{classes[label]} ({counts[label]} image{'s' if counts[label] > 1 else ''})"
        for label in np.flatnonzero(chosen).tolist()
    ]
    return f"the class{'es' if len(names) > 1 else ''} {listed(names)}"


def look_alikes(names: Iterable[str], others: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of a name and another that a reader may take for the same, though they differ."""
    by_look = {_look(other): other for other in others}
    pairs = ((name, by_look.get(_look(name), name)) for name in names)
    return [(name, other) for name, other in pairs if other != name]


def how_they_differ(name: str, other: str) -> str:
    """What two names that look alike differ in, as a part of a sentence."""
    if _composed(name) == _composed(other):
        return f"only in their Unicode form ({name!a} and {other!a})"
    if _composed(name).casefold() == _composed(other).casefold():
        return "only in upper and lower case"
    if shown(_composed(name)) == shown(_composed(other)):
        return f"only in a character that is shown escaped ({name!a} and {other!a})"
    return f"only in spaces or in the kind of characters ({name!a} and {other!a})"


def first_difference(names: Sequence[str], others: Sequence[str]) -> tuple[int, str, str]:
    """The first place at which two lists that are not equal differ, and both names there.

    A name that one list does not have is "nothing".
    """
    pairs = itertools.zip_longest(names, others, fillvalue="nothing")
    return next(
        (place, shown(name), shown(other))
        for place, (name, other) in enumerate(pairs)
        if name != other
    )


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _look(name: str) -> str:
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())
