"""The host's caches and memory: their sizes, and how fast NumPy moves bytes through them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.numpy_backend.workers import Workers
from gpucnn.processor import available_cores

_CACHES = Path("/sys/devices/system/cpu")
_MEMORY, _LIMIT = Path("/proc/meminfo"), Path("/sys/fs/cgroup/memory.max")
_UNKNOWN = 64 << 20
"""Bytes that the last-level cache is taken to have if the system does not say: a large one."""
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_LARGER = 4
"""How many times as large as the caches each array is that is to come from memory."""
_SMALLEST, _STEP = 1 << 16, 4
_FEW_BYTES = 1 << 23
"""That a thread moves between two readings of the clock, at least."""


def cache_bytes() -> int:
    """Bytes of the last-level caches of this process's cores, all together."""
    found: dict[tuple[int, str], int] = {}
    for core in range(os.cpu_count() or 1):
        if hasattr(os, "sched_getaffinity") and core not in os.sched_getaffinity(0):
            continue
        for folder in (_CACHES / f"cpu{core}" / "cache").glob("index*"):
            try:
                level, kind, size, cores = (
                    (folder / name).read_text(encoding="ascii").strip()
                    for name in ("level", "type", "size", "shared_cpu_list")
                )
            except OSError:
                continue
            if kind != "Instruction" and size[:-1].isdecimal() and size[-1] in _UNITS:
                found[int(level), cores] = int(size[:-1]) * _UNITS[size[-1]]
    last = max((level for level, _ in found), default=0)
    return sum(size for (level, _), size in found.items() if level == last) or _UNKNOWN


def memory_floats(arrays: int) -> int:
    """Floats per array, for arrays that do not fit in the caches together, if memory has room."""
    return min(_LARGER * cache_bytes(), _free_bytes() // (2 * arrays)) // 4


def _free_bytes() -> int:
    """Bytes of memory that this process may still take, as far as the system says."""
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2]
    with suppress(OSError, ValueError):
        lines = _MEMORY.read_text(encoding="ascii").splitlines()
        found += [int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")]
    with suppress(OSError, ValueError):  # "max" without a limit
        found.append(int(_LIMIT.read_text(encoding="ascii")) // 2)
    return min(found)


def cached_floats() -> Iterator[int]:
    """Floats of a core's arrays, three of which fit into its share of the caches, in steps."""
    size = _SMALLEST
    while 3 * size <= cache_bytes() // available_cores():
        yield size // 4
        size *= _STEP


def movements(
    workers: Workers, arrays: NDArray[np.float32]
) -> Iterator[tuple[int, Callable[[], object]]]:
    """Ways to move bytes on all threads: reading, writing, copying, and adding two arrays.

    Args:
        workers: the threads.
        arrays: (3, threads, n), three arrays of n floats for each thread.

    Yields:
        The bytes that are read and written, and what does that.
    """
    _, threads, floats = arrays.shape
    times = max(1, _FEW_BYTES // (4 * floats))
    a, b, c = arrays

    def on_all(moves: int, do: Callable[[int], object]) -> tuple[int, Callable[[], object]]:
        def run_thread(thread: int) -> None:
            for _ in range(times):
                do(thread)

        return 4 * moves * floats * threads * times, lambda: workers.run(run_thread, threads)

    yield on_all(1, lambda i: a[i].max())
    yield on_all(1, lambda i: a[i].fill(1.0))
    yield on_all(2, lambda i: np.copyto(a[i], b[i]))
    yield on_all(3, lambda i: np.add(b[i], c[i], out=a[i]))
