"""What is wrong with kernels, for people."""

from __future__ import annotations

import re
from collections.abc import Iterable

import click

_MOST = 20
_DIFFERENCES = re.compile(
    r"(?<=\.cu) \(\w+=[^()]*\)|\b(?:block|thread) \(\d+, \d+, \d+\)"
)  # fmt: skip
"""Of one mistake in messages of several problems: a file's constants, and who met it first."""


def show_complaints(told: Iterable[tuple[str, str]]) -> None:
    """Each complaint once, whatever the constants and the thread, with the first of its places.

    Args:
        told: places and complaints.
    """
    groups: dict[str, list[tuple[str, str]]] = {}
    for place, complaint in told:
        groups.setdefault(_DIFFERENCES.sub("", complaint), []).append((place, complaint))
    alike = list(groups.values())
    for (place, complaint), *others in alike[:_MOST]:
        click.echo(f"\n{place}:\n  {complaint}")
        if others:
            click.echo(f"  (the same in {len(others)} more)")
    if rest := sum(map(len, alike[_MOST:])):
        click.echo(f"\nand {rest} more")
