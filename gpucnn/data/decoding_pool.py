"""Many image files read in worker processes, because decoding holds the interpreter lock.

A worker is a fresh Python interpreter that runs ``decoding_worker.py``. It exchanges pickles with
a thread of this process over its stdin and stdout, and needs nothing else: no semaphores, no shared
memory, and no ``if __name__ == "__main__"`` in the user's script.
"""

from __future__ import annotations

import math
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeAlias, TypeVar, cast

from gpucnn.data.decoding import Chunk, Decoding, decode_chunk
from gpucnn.errors import DataError
from gpucnn.text import shown, warn_once

_LARGEST_CHUNK = 32
_CHUNK_BYTES = 1 << 24
_CHUNKS_AHEAD = 3
"""Chunks per worker that may wait to be decoded or fetched; more would only take memory."""
_PACKAGES = ("numpy", "PIL", "msgspec", "gpucnn")
"""What a worker imports, beyond the standard library, in an order in which it can."""
_LEFT_TO_THE_PARENT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SECONDS_TO_END = 2.0

T = TypeVar("T")

_Job: TypeAlias = tuple[Sequence[str], "Future[Any]"]
_Work: TypeAlias = Callable[[Sequence[str]], Any]


class FileWorkers(Generic[T]):
    """Does some work on files in worker processes.

    Several threads may use the same workers at the same time.

    Args:
        work: what is done with some files at once; a function of a module of gpucnn, or a
            ``partial`` of one, for it is pickled.
        workers: the number of processes, which start at the first use; 0 works in this one. The
            results do not depend on it.
    """

    def __init__(self, work: Callable[[Sequence[str]], T], workers: int) -> None:
        self._work = work
        self._pool = _Pool(work, workers)
        # Also called if the workers are dropped without being closed, and when Python exits.
        self.close = weakref.finalize(self, self._pool.close)

    def results(self, paths: Sequence[str], most: int = _LARGEST_CHUNK) -> Iterator[T]:
        """The results for some files at a time, ``most`` or fewer, in the order of ``paths``.

        Raises:
            DataError: while iterating, if a worker ended unexpectedly.
        """
        workers = self._pool.start()
        size = max(1, min(_LARGEST_CHUNK, most, -(-len(paths) // max(1, workers))))
        pieces = (paths[first : first + size] for first in range(0, len(paths), size))
        if not workers:
            yield from map(self._work, pieces)
            return
        pending: deque[Future[T]] = deque()
        try:
            pending.extend(map(self._pool.submit, islice(pieces, _CHUNKS_AHEAD * workers)))
            while pending:
                result = pending.popleft().result()
                pending.extend(map(self._pool.submit, islice(pieces, 1)))
                yield result
                del result  # so that none is kept that was handed out
        finally:
            for future in pending:
                future.cancel()


class ImageDecoder(FileWorkers[Chunk]):
    """Decodes image files in worker processes.

    Args:
        decoding: how each file becomes an array.
        workers: the number of processes, which start at the first use; 0 decodes in this one. The
            images do not depend on it.
    """

    def __init__(self, decoding: Decoding, workers: int) -> None:
        super().__init__(partial(decode_chunk, decoding=decoding), workers)
        self.decoding = decoding

    def decode(self, paths: Sequence[str]) -> Iterator[Chunk]:
        """Decodes files in chunks, which come in the order of ``paths``.

        Raises:
            DataError: while iterating, if a worker ended unexpectedly.
        """
        return self.results(paths, _CHUNK_BYTES // math.prod(self.decoding.image_shape))


class _Pool:
    """The worker processes, each with a thread that feeds it."""

    def __init__(self, work: _Work, workers: int) -> None:
        self._work = work
        self._wanted = workers
        self._lock = threading.RLock()  # a finalizer may run in a thread that holds it
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._workers: list[_Worker] = []
        self._threads: list[threading.Thread] = []
        self._started = False
        self._failure: str | None = None

    def start(self) -> int:
        """Starts the workers, unless that has been done; the number of them.

        If the system refuses some, those that did start do the work.
        """
        with self._lock:
            if not self._started:
                self._started = True
                with _signals_blocked():  # processes and threads that start here inherit that
                    self._start()
            return len(self._workers)

    def _start(self) -> None:
        for _ in range(self._wanted):
            try:
                worker = _Worker(self._work)
            except OSError as error:
                self._warn("process", error.strerror or str(error))
                return
            thread = threading.Thread(
                target=self._serve, args=(worker,), name="gpucnn-decoder", daemon=True
            )
            try:
                thread.start()
            except RuntimeError as error:
                worker.kill()
                worker.close()
                self._warn("thread", str(error))
                return
            self._workers.append(worker)
            self._threads.append(thread)

    def _warn(self, what: str, reason: str) -> None:
        running = len(self._workers)
        instead = f"{running} of them decode" if running else "images are decoded without them"
        warn_once(
            f"data.workers = {self._wanted}: no further {what} could be started ({reason}); "
            f"{instead}, which is slower and gives the same images"
        )

    def submit(self, piece: Sequence[str]) -> Future[Any]:
        """Hands some files to the next worker that is free."""
        future: Future[Any] = Future()
        with self._lock:
            if self._failure:
                future.set_exception(DataError(self._failure))
            else:
                self._jobs.put((piece, future))
        return future

    def _serve(self, worker: _Worker) -> None:
        """Feeds one worker until the pool is closed or a worker fails."""
        while (job := self._jobs.get()) is not None:
            piece, future = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(worker.result(piece))
            except (OSError, EOFError, pickle.UnpicklingError, ValueError):
                self._fail(worker.obituary(piece))
            finally:
                if not future.done():
                    future.set_exception(DataError(self._failure))

    def _fail(self, message: str) -> None:
        """After one worker has ended unexpectedly, all that waits and all that follows fails."""
        with self._lock:
            self._failure = self._failure or message
            with suppress(queue.Empty):
                while True:
                    job = self._jobs.get_nowait()
                    if job is not None and job[1].set_running_or_notify_cancel():
                        job[1].set_exception(DataError(self._failure))
            for _ in self._threads:
                self._jobs.put(None)

    def close(self) -> None:
        """Ends the worker processes; nothing can be decoded afterwards."""
        with self._lock:
            self._started = True
        self._fail("the decoder is closed")
        for worker in self._workers:
            worker.kill()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()
        for worker in self._workers:
            worker.close()


class _Worker:
    """One process.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, work: _Work) -> None:
        if not sys.executable:
            raise OSError(0, "there is no Python interpreter to start")
        self._stderr, stderr = os.pipe()
        try:
            # A full pipe then loses what a library prints, instead of stopping it.
            os.set_blocking(stderr, False)
            os.set_blocking(self._stderr, False)
            self._process = subprocess.Popen(
                _command(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=_environment(),
            )
        except BaseException:
            os.close(self._stderr)
            raise
        finally:
            os.close(stderr)
        self._work: _Work | None = work

    def result(self, piece: Sequence[str]) -> Any:
        """What the work on some files gives there.

        Raises:
            OSError, EOFError, UnpicklingError, ValueError: the process has ended.
        """
        if self._work is not None:  # the first message
            self._send(self._work)
            self._work = None
        self._send(list(piece))
        return pickle.load(cast(BinaryIO, self._process.stdout))

    def _send(self, message: _Work | list[str]) -> None:
        stdin = cast(BinaryIO, self._process.stdin)
        pickle.dump(message, stdin, protocol=5)
        stdin.flush()

    def obituary(self, piece: Sequence[str]) -> str:
        """How the process ended, and what it was decoding."""
        try:
            status = self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:  # it has closed its stdout, or has written nonsense
            self._process.kill()
            status = self._process.wait()
        if status < 0:
            end = f"it was killed by {_signal_name(-status)}"
            if status == -signal.SIGKILL:
                end += ", as the system does when memory runs out"
        else:
            end = f"its exit status was {status}"
        if printed := self._printed():
            end += f", and it printed: {printed}"
        others = f" or the {len(piece) - 1} after it" if len(piece) > 1 else ""
        return (
            f"{shown(piece[0])}: while this file{others} was decoded, the worker process ended "
            f"unexpectedly: {end}; data.workers = 0 decodes without further processes"
        )

    def _printed(self) -> str:
        """The last line of what it wrote to stderr."""
        try:
            text = os.read(self._stderr, 1 << 16).decode(errors="replace").strip()
        except OSError:  # nothing
            return ""
        return shown(text.splitlines()[-1][:300]) if text else ""

    def kill(self) -> None:
        """Ends the process, which has nothing to lose."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Closes what leads to the process, once it has ended and nobody uses that any more."""
        for stream in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # what could not be sent
                cast(BinaryIO, stream).close()
        os.close(self._stderr)


def _command() -> list[str]:
    packages = []
    for name in _PACKAGES:
        file = sys.modules[name].__file__ if name in sys.modules else None
        if file:
            packages += [name, str(Path(file).absolute())]
    worker = Path(__file__).absolute().with_name("decoding_worker.py")
    # The same UTF-8 mode, so that names of files are the same bytes; -P: no script's folder in the
    # import path.
    return [sys.executable, "-P", "-X", f"utf8={sys.flags.utf8_mode}", str(worker), *packages]


def _environment() -> dict[str, str]:
    """Without further folders to import from, and without threads that a worker does not need."""
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | threads


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Requests to stop wait in this thread, and in what starts here they are blocked for good.

    Terminals, ``timeout``, systemd and Slurm send them to every process. The parent decides when
    its workers end.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _LEFT_TO_THE_PARENT)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
