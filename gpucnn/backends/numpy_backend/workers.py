"""Threads over independent pieces of an operation.

NumPy's loops and BLAS products release the interpreter lock, so threads use all cores. BLAS
itself is held to one thread, in the whole process: its own threads would compete with these, and
would make the order of its sums depend on their number. How work is cut into pieces depends on
shapes alone, so the results do not depend on the number of threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from threadpoolctl import threadpool_limits

from gpucnn.operations.geometry import ceil_divide
from gpucnn.processor import available_cores
from gpucnn.text import warn_once

_MULTIPLE = 4
_PARTIAL_SUMS = 8
"""About how many sums are kept: enough for the threads, few enough for the memory."""


def even_slices(count: int, largest: int) -> list[slice]:
    """Cuts ``range(count)`` into even slices, none longer than ``largest`` (or 1).

    Their number is a multiple of 4 if possible, so that threads end at the same time. It depends
    on the arguments alone.
    """
    pieces = ceil_divide(count, max(1, largest))
    pieces = min(count, ceil_divide(pieces, _MULTIPLE) * _MULTIPLE)
    return [slice(count * n // pieces, count * (n + 1) // pieces) for n in range(pieces)]


def sum_groups(pieces: int) -> list[slice]:
    """Divides the pieces of a sum into a few groups, which are added up one by one at the end."""
    return even_slices(pieces, ceil_divide(pieces, _PARTIAL_SUMS))


def _running_threads(most: int) -> tuple[ThreadPoolExecutor | None, int]:
    """A pool whose threads have all been started, and their number.

    A pool starts a thread when it is first needed. That would be in the middle of a step, and if
    the system refuses it, the pool cannot be used any more.
    """
    for count in range(most, 0, -1):
        pool = ThreadPoolExecutor(count, thread_name_prefix="gpucnn")
        all_started = threading.Event()
        try:
            for _ in range(count):
                pool.submit(all_started.wait)
        except RuntimeError:
            all_started.set()
            pool.shutdown()
            continue
        all_started.set()
        return pool, count
    return None, 0


class Workers:
    """The calling thread and ``threads - 1`` more, each with a scratch memory of its own."""

    def __init__(self, threads: int | None = None) -> None:
        wanted = threads or available_cores()
        threadpool_limits(1, user_api="blas")
        self._scratch = threading.local()
        self._pool, further = _running_threads(wanted - 1)
        self.threads = 1 + further
        if self.threads < wanted:
            warn_once(
                f"{self.threads} of {wanted} threads could be started; the NumPy backend is slower "
                f"and gives the same results"
            )

    def run(self, task: Callable[[int], None], count: int) -> None:
        """Calls ``task(0) … task(count - 1)``, in any order, on all threads."""
        numbers = iter(range(count))

        def work() -> None:
            # As in the operation that calls: each thread has a state of its own.
            with np.errstate(all="ignore"):
                for number in numbers:  # each goes to one thread: the iterator is atomic
                    task(number)

        if self._pool is None or count <= 1:
            work()
            return
        futures = [self._pool.submit(work) for _ in range(min(self.threads, count) - 1)]
        try:
            work()
        finally:
            for future in futures:
                future.result()

    def scratch(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """An array of the calling thread's own with undefined contents.

        It is valid until the same thread asks for the same name again.
        """
        buffers: dict[str, NDArray[np.uint8]] = self._scratch.__dict__
        dtype = np.dtype(dtype)
        size = dtype.itemsize
        for length in shape:
            size *= length
        if name not in buffers or buffers[name].nbytes < size:
            buffers[name] = np.empty(size, np.uint8)
        return buffers[name][:size].view(dtype).reshape(shape)
