"""Progress bars."""

from __future__ import annotations

import functools
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TextIO, cast


class ProgressBar(Protocol):
    """What is used of a ``tqdm.tqdm``."""

    mininterval: float
    last_print_t: float

    def _time(self) -> float: ...

    def update(self, n: float = 1) -> bool | None:
        """Moves the bar on by ``n``."""

    def set_description_str(self, desc: str, refresh: bool = True) -> None:
        """Sets the text before the bar."""

    def set_postfix_str(self, s: str, refresh: bool = True) -> None:
        """Sets the text after the bar."""

    def write(self, s: str, file: TextIO) -> None:
        """Prints a line above the bar."""

    def close(self) -> None:
        """Removes the bar, or leaves its last state, as it was asked for."""


@contextmanager
def progress(label: str, total: int, unit: str = "") -> Iterator[Callable[[int], object]]:
    """A bar on stderr that disappears at the end; nothing if stderr is not a terminal.

    Args:
        label: in front of the bar.
        total: how many things there are to do.
        unit: what they are, if they are so many that thousands are shown, as for bytes ("B").

    Yields:
        What to call with the number of things that have been done since the last call.
    """
    # Given no width, tqdm shows nothing on a terminal that does not know its own.
    width = shutil.get_terminal_size().columns
    units = {"unit": unit, "unit_scale": True} if unit else {}
    bar = progress_bar(total=total, desc=label, leave=False, disable=None, ncols=width, **units)
    try:
        yield bar.update
    finally:
        bar.close()


def progress_bar(*arguments: Any, **options: Any) -> ProgressBar:
    """A bar with the arguments of ``tqdm.tqdm``, which is imported when it is first needed.

    Unlike tqdm's own it has neither a multiprocessing lock nor a monitor thread. The lock holds a
    semaphore, and if the process ends without cleaning up, Python prints a warning about that.
    """
    return cast(ProgressBar, _bar_class()(*arguments, **options))


@functools.cache
def _bar_class() -> Any:
    from tqdm import tqdm

    return type("Bar", (tqdm,), {"_lock": threading.RLock(), "monitor_interval": 0})
