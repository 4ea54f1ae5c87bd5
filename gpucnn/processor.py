"""The processor and the memory: what there is, and how much of it this process may use."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path


def processor_name() -> str:
    """The processor's name, as well as the system tells it."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def available_cores() -> int:
    """The processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def total_memory() -> int:
    """Bytes of memory that this process could have, if nothing else did: of machine and cgroup."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):  # not a number if there is no limit
            limits.append(int((Path("/sys/fs/cgroup") / name).read_text(encoding="ascii")))
    return min(limits)


@contextmanager
def thread_on_each_core() -> Iterator[ThreadPoolExecutor]:
    """Threads for long tasks. Left by an exception, such as Ctrl-C, they begin no further one."""
    threads = ThreadPoolExecutor(available_cores())
    try:
        yield threads
    finally:
        threads.shutdown(cancel_futures=True)
