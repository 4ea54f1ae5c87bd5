"""What is shown while sources are compiled, and who is given their warnings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TypeAlias

from gpucnn.emulator.source import Source

Progress: TypeAlias = Callable[[str, int], AbstractContextManager[Callable[[int], object]]]
"""Shows that work goes on: of a label and how much there is, what to call with what is done."""
Report: TypeAlias = Callable[[Source, Sequence[str]], None]
"""Is given a source that is compiled, and its warnings."""


@contextmanager
def no_progress(_label: str, _total: int) -> Iterator[Callable[[int], object]]:
    """Shows nothing."""
    yield lambda _done: None


def no_report(_source: Source, _warnings: Sequence[str]) -> None:
    """Keeps warnings to itself."""
