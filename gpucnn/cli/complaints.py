"""What is wrong with kernels, each complaint once, with all its places."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeVar

import click

MOST = 20
"""Complaints that are shown; of the others, how many there are."""
_DIFFERENCES = re.compile(
    r"(?<=\.cu) \(\w+=[^()]*\)|\b(?:block|thread) \(\d+, \d+, \d+\)"
)  # fmt: skip
"""Of one mistake in messages of several problems: a file's constants, and who met it first."""

_Place = TypeVar("_Place")


def alike(told: Iterable[tuple[_Place, str]]) -> list[tuple[str, list[_Place]]]:
    """Complaints, each once, whatever the constants and the thread, with its places, in order.

    Args:
        told: places and complaints.
    """
    groups: dict[str, tuple[str, list[_Place]]] = {}
    for place, complaint in told:
        _, places = groups.setdefault(_DIFFERENCES.sub("", complaint), (complaint, []))
        places.append(place)
    return list(groups.values())


def show_complaints(told: Iterable[tuple[str, str]]) -> None:
    """Shows complaints that are alike once, with the first of their places.

    Args:
        told: places and complaints.
    """
    complaints = alike(told)
    for complaint, (place, *others) in complaints[:MOST]:
        click.echo(f"\n{place}:\n  {complaint}")
        if others:
            click.echo(f"  (the same in {len(others)} more)")
    if rest := sum(len(places) for _, places in complaints[MOST:]):
        click.echo(f"\nand {rest} more")
