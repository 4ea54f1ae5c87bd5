"""Stopping on request: the step at hand is finished, a checkpoint is saved, then the run ends."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import TypeAlias

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_Handler: TypeAlias = Callable[[int, FrameType | None], object] | int
"""What ``signal.signal`` takes: a function, or one of the constants SIG_DFL and SIG_IGN."""


class Interrupted(KeyboardInterrupt):
    """A signal ended the run. ``except Exception`` does not catch it.

    Attributes:
        status: the exit status that reports it, 128 + the signal's number.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.status = 128 + number


class StopOnSignal:
    """Within its block, SIGINT, SIGTERM and SIGHUP ask the run to stop.

    The first one raises Interrupted in the main thread, or, within ``postponed``, only sets
    ``number``. A second one ends the process at once, with the exit status 128 + its number.
    A signal that is ignored when the block is entered, as under nohup, stays ignored. A block
    within another one is a part of that one: ``with`` returns the outer object.

    Attributes:
        number: of the signal that was received; None before the first.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._is_postponed = False
        self._previous: dict[int, _Handler] = {}

    def __enter__(self) -> StopOnSignal:
        """Only the main thread can handle signals; in another one nothing changes."""
        if threading.current_thread() is not threading.main_thread():
            return self
        for number, handler in _handled():
            outer = getattr(handler, "__self__", None)
            if isinstance(outer, StopOnSignal):
                return outer
            self._previous[number] = handler
        for number in self._previous:
            signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Puts the previous handlers back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    @contextmanager
    def postponed(self) -> Iterator[None]:
        """Within the block, the first signal only sets ``number``: see ``obey``."""
        self._is_postponed = True
        try:
            yield
        finally:
            self._is_postponed = False

    def obey(self) -> None:
        """Raises Interrupted if a signal was received."""
        if self.number is not None:
            raise Interrupted(self.number)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None:
            exit_at_once(number, frame)
        self.number = number
        if not self._is_postponed:
            self.obey()


def exit_on_next_signal() -> None:
    """From now on a signal ends the process at once and quietly: for one that is about to end."""
    _handle_all(exit_at_once)


def ignore_signals() -> None:
    """From now on signals do nothing: for the last moments of a process.

    Python would put the system's handlers back, and a signal would then replace the exit status.
    """
    _handle_all(signal.SIG_IGN)


def _handle_all(handler: _Handler) -> None:
    if threading.current_thread() is threading.main_thread():
        for number, _ in _handled():
            signal.signal(number, handler)


def exit_at_once(number: int, _: FrameType | None) -> None:
    """A signal handler that ends the process without any cleaning up."""
    os._exit(128 + number)


def _handled() -> Iterator[tuple[int, _Handler]]:
    """The signals that are not ignored, and their handlers, as far as Python knows these."""
    for number in _SIGNALS:
        handler = signal.getsignal(number)
        if handler is not None and handler != signal.SIG_IGN:
            yield number, handler
