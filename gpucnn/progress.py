"""Progress bars."""

from __future__ import annotations

import functools
import threading
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
