"""What is said of many variants, for many architectures, each remark once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from gpucnn.backends.devices.source import KernelSource
from gpucnn.kernelbuild.build import Built


@dataclass(frozen=True)
class Remark:
    """A compiler's complaint of a file.

    Attributes:
        text: the complaint, which may have several lines.
        sources: the variants that share it.
        architectures: for which.
    """

    text: str
    sources: tuple[KernelSource, ...]
    architectures: tuple[str, ...]


def by_file(
    built: Iterable[Built], said: Callable[[Built], Sequence[str]]
) -> dict[str, list[Remark]]:
    """The remarks of each file, in order.

    Args:
        built: what was compiled.
        said: what is to be told of one.
    """
    groups: dict[tuple[str, str], list[Built]] = {}
    for one in built:
        for text in said(one):
            groups.setdefault((one.source.file, text), []).append(one)
    found: dict[str, list[Remark]] = {}
    for (file, text), alike in groups.items():
        sources = dict.fromkeys(one.source for one in alike)
        architectures = dict.fromkeys(one.architecture for one in alike)
        found.setdefault(file, []).append(Remark(text, tuple(sources), tuple(architectures)))
    return found
