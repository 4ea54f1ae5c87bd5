"""What ``gpucnn emulate`` reports: what was launched, what it has left, where it failed."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.cli.emulate_arguments import GivenArgument, Value
from gpucnn.cli.output import table
from gpucnn.text import shown

_FIRST = 4
"""Elements that are shown of an array."""
_PLACE = re.compile(r"([^\s/:()]+):(\d{1,9})\b")
_MOST_LINES = 4


@dataclass(frozen=True)
class Difference:
    """Where two launches have left different bits.

    Attributes:
        argument: its number, from 1.
        index: of the first element that differs.
        first: the element that the first launch has left.
        other: the element that the other launch has left.
        seed: of the other launch.
    """

    argument: int
    index: tuple[int, ...]
    first: str
    other: str
    seed: int


def facts_of_arrays(given: Sequence[GivenArgument], left: Sequence[Value]) -> list[dict[str, Any]]:
    """``array_facts`` of each array among the arguments, with its number."""
    return [
        {"argument": number, **array_facts(one.value, after)}
        for number, (one, after) in enumerate(zip(given, left, strict=True), 1)
        if isinstance(one.value, np.ndarray) and isinstance(after, np.ndarray)
    ]


def array_facts(before: NDArray[Any], after: NDArray[Any]) -> dict[str, Any]:
    """What a launch has made of an array.

    Returns:
        ``dtype``, ``shape``; ``changed``, the number of elements whose bits changed; ``nan``, the
        number of those that are no number; ``min``, ``max`` and ``mean`` of the finite others, None
        without any or of complex numbers; ``first``, a few elements.
    """
    number = after.astype(np.float64) if after.dtype.kind in "fiub" else np.empty(0)
    finite = number[np.isfinite(number)]
    least, most, mean = (
        (after.dtype.type(finite.min()), after.dtype.type(finite.max()), float(finite.mean()))
        if finite.size
        else (None, None, None)
    )
    return {
        "dtype": str(after.dtype),
        "shape": list(after.shape),
        "changed": int(np.count_nonzero(_differs(before, after))),
        "nan": int(np.count_nonzero(np.isnan(after))) if after.dtype.kind in "fc" else 0,
        "min": None if least is None else least.item(),
        "max": None if most is None else most.item(),
        "mean": mean,
        "first": [_plain(value) for value in after.flat[:_FIRST]],
    }


def _differs(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.bool_]:
    """Which elements have other bits."""
    size = one.dtype.itemsize
    bits = (array.reshape(-1).view(np.uint8).reshape(-1, size) for array in (one, other))
    return np.asarray(np.not_equal(*bits).any(axis=1))


def _plain(value: np.generic) -> object:
    """As JSON has it."""
    return str(value.item()) if value.dtype.kind == "c" else value.item()


def facts_table(given: Sequence[GivenArgument], facts: Sequence[dict[str, Any]]) -> str:
    """A line for each argument; of an array, with what a launch has made of it."""
    of_array = {fact["argument"]: fact for fact in facts}
    rows = [
        _row(f"{number} {one}", of_array[number]) if number in of_array else f"{number} {one}"
        for number, one in enumerate(given, 1)
    ]
    header = ["argument", "changed", "min", "max", "mean", "NaN", "first"]
    return table(header, rows, left=(0, 1, 6))


def _row(argument: str, fact: dict[str, Any]) -> list[str]:
    size = math.prod(fact["shape"])
    changed = "no" if not fact["changed"] else "all" if fact["changed"] == size else ""
    first = " ".join(map(_shortly, fact["first"]))
    return [
        argument,
        changed or f"{fact['changed']:,} of {size:,}",
        *(_shortly(fact[name]) for name in ("min", "max", "mean")),
        f"{fact['nan']:,}",
        first + (" …" if size > len(fact["first"]) else ""),
    ]


def _shortly(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def difference(one: Sequence[Value], other: Sequence[Value], seed: int) -> Difference | None:
    """Where a launch with another seed has left other bits first; None if nowhere."""
    for number, (a, b) in enumerate(zip(one, other, strict=True), 1):
        if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
            wrong = np.flatnonzero(_differs(a, b))
            if wrong.size:
                index = tuple(int(i) for i in np.unravel_index(wrong[0], a.shape))
                return Difference(number, index, str(a[index]), str(b[index]), seed)
    return None


def save_arrays(folder: Path, left: Sequence[Value]) -> list[str]:
    """Writes the arrays among the arguments into a new folder; returns the files' names."""
    folder.mkdir()
    names = []
    for number, value in enumerate(left, 1):
        if isinstance(value, np.ndarray):
            names.append(f"argument{number}.npy")
            np.save(folder / names[-1], value)
    return names


def quoted_lines(message: str, file: Path) -> Iterator[str]:
    """The lines of the file and of its neighbours that a message names, each once."""
    places = dict.fromkeys(_PLACE.findall(message))
    for name, line in list(places)[:_MOST_LINES]:
        number = int(line)
        path = file.with_name(name)
        if path.is_file():
            lines = path.read_text("utf-8", errors="replace").split("\n")
            if 0 < number <= len(lines):
                yield f"  {shown(name)}:{number} | {shown(lines[number - 1].expandtabs(4))}"
