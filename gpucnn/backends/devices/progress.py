"""How far a compilation has come, for people at a terminal."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[int], object]]:
    """A bar on stderr that disappears at the end; nothing if stderr is not a terminal.

    Args:
        label: in front of the bar.
        total: how many things there are to do.

    Yields:
        What to call with the number of things that have been done since the last call.
    """
    from tqdm import tqdm

    # Given no width, tqdm shows nothing on a terminal that does not know its own.
    width = shutil.get_terminal_size().columns
    with tqdm(total=total, desc=label, leave=False, disable=None, ncols=width) as bar:
        yield bar.update
