"""Batches fetched ahead of the step that needs them, and how long steps waited all the same."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import chain
from typing import TypeVar

from gpucnn.text import warn_once

T = TypeVar("T")

_SECONDS_BETWEEN_LOOKS = 0.001


class WaitingTime:
    """Which share of a time its owner waited for data.

    A device that still has work does not wait, even if the host does.

    Args:
        is_idle: whether the device has done all that it was given; for a host that works by itself
            it always has.
    """

    def __init__(self, is_idle: Callable[[], bool] = lambda: True) -> None:
        self._is_idle = is_idle
        self.restart()

    def restart(self) -> None:
        """Forgets what was, and begins anew."""
        self._begin, self._seconds = time.perf_counter(), 0.0

    def share(self) -> float:
        """The share of the time since the beginning, from 0 to 1."""
        return self._seconds / max(time.perf_counter() - self._begin, self._seconds, 1e-9)

    def result(self, future: Future[T]) -> T:
        """What a thread is fetching; the time until it is there counts if the device is idle."""
        while not future.done() and not self._is_idle():
            wait((future,), _SECONDS_BETWEEN_LOOKS)
        begin = time.perf_counter()
        try:
            return future.result()
        finally:
            self._seconds += time.perf_counter() - begin


def fetched_ahead(
    fetch: Callable[[int], T],
    numbers: Iterable[int],
    ahead: int,
    threads: int,
    waiting: WaitingTime,
) -> Generator[T, None, None]:
    """What ``fetch`` gives for each number, in order, fetched by threads while the caller works.

    The threads end with the generator: when it is exhausted or closed, or when ``fetch`` fails,
    whose error comes in its turn. If the system has no thread to spare, things are fetched when
    they are asked for.

    Args:
        fetch: is called once for each number.
        numbers: of what to fetch.
        ahead: how many are fetched or being fetched besides the one that the caller has.
        threads: how many of them at the same time.
        waiting: counts the time that the caller waits.
    """
    remaining = iter(numbers)
    pending: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="gpucnn-loader")
    try:
        for number in remaining:
            try:
                pending.append(pool.submit(fetch, number))
            except RuntimeError as error:
                warn_once(
                    f"no thread to fetch batches ahead could be started ({error}); they are "
                    f"fetched when they are needed, which is slower and gives the same batches"
                )
                remaining = chain((number,), remaining)
                break
            if len(pending) > ahead:
                yield waiting.result(pending.popleft())
        while pending:
            yield waiting.result(pending.popleft())
    finally:
        pool.shutdown(cancel_futures=True)
    for number in remaining:
        yield fetch(number)
