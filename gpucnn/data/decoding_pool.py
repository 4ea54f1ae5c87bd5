"""Many image files to one array, in worker processes, for decoding holds the interpreter lock."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.decoding import Fit, decode_image
from gpucnn.errors import DataError

_LARGEST_CHUNK = 32


@dataclass(frozen=True)
class Chunk:
    """Some decoded files in a row.

    Attributes:
        images: uint8 (n, H, W, C), zero where a file could not be decoded.
        errors: the error of each such file, by its place in the chunk.
    """

    images: NDArray[np.uint8]
    errors: dict[int, DataError]


class ImageDecoder:
    """Decodes image files, all to one shape.

    Args:
        image_shape: (H, W, C) of each image.
        fit: how a size is changed; None if it must be (H, W) already.
        workers: processes, which start with the first use; 0 decodes in the calling one. The
            images do not depend on it.
    """

    def __init__(self, image_shape: tuple[int, int, int], fit: Fit | None, workers: int) -> None:
        self.image_shape = image_shape
        self._fit = fit
        self._workers = workers
        # A fresh interpreter for each worker: forking a process that has threads can lock up.
        self._pool = (
            ProcessPoolExecutor(
                workers, multiprocessing.get_context("spawn"), initializer=_prepare_worker
            )
            if workers
            else None
        )

    def decode(self, paths: Sequence[str]) -> Iterator[Chunk]:
        """Decodes files in chunks, which come in the order of ``paths``.

        Raises:
            DataError: while iterating, if a worker ended unexpectedly.
        """
        size = max(1, min(_LARGEST_CHUNK, -(-len(paths) // max(1, self._workers))))
        pieces = [paths[first : first + size] for first in range(0, len(paths), size)]
        if self._pool is not None:
            yield from self._from_workers(self._pool, pieces)
            return
        for piece in pieces:
            yield _decode_chunk(piece, self.image_shape, self._fit)

    def _from_workers(
        self, pool: ProcessPoolExecutor, pieces: list[Sequence[str]]
    ) -> Iterator[Chunk]:
        futures: deque[Future[Chunk]] = deque()
        try:
            with _interrupts_held():  # workers start here
                for piece in pieces:
                    futures.append(pool.submit(_decode_chunk, piece, self.image_shape, self._fit))
            while futures:
                yield futures.popleft().result()  # so no chunk is kept that was handed out
        except BrokenProcessPool:
            raise DataError(
                "a process that decodes images ended unexpectedly: out of memory, perhaps, or "
                'the script lacks an `if __name__ == "__main__":` around what it runs; '
                "workers = 0 decodes without further processes"
            ) from None
        finally:
            for future in futures:
                future.cancel()

    def close(self) -> None:
        """Ends the worker processes; nothing can be decoded afterwards."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def _decode_chunk(
    paths: Sequence[str], image_shape: tuple[int, int, int], fit: Fit | None
) -> Chunk:
    images = np.zeros((len(paths), *image_shape), np.uint8)
    errors = {}
    for place, path in enumerate(paths):
        try:
            images[place] = decode_image(path, image_shape, fit)
        except DataError as error:
            errors[place] = error
    return Chunk(images, errors)


def _prepare_worker() -> None:
    """Leaves Ctrl-C to the parent, and ends the worker should the parent be killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Delays Ctrl-C in this thread and, in processes that it starts, for good.

    A worker that is still importing would otherwise meet it with a traceback.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
