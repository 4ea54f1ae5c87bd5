"""Other programs, such as compilers, that never outlive the process that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

_SUPERVISOR = """
exec 3<&0 </dev/null
trap : INT TERM HUP
{ trap '' INT TERM HUP; read -r _ <&3; kill -s KILL 0; } >/dev/null 2>&1 &
"$@" 3<&-
status=$?
kill -s KILL $!
wait $! 2>/dev/null
exit $status
"""
"""Runs a program, and kills it with all that it started when the standard input ends.

The standard input is a pipe whose other end only the parent has, so it ends with the parent,
whatever ends that. The shell leads a session, and 0 stands for its process group. A signal to the
group reaches the program, not the shell or its watcher.
"""


@dataclass(frozen=True)
class Finished:
    """What a program ended with.

    Attributes:
        status: its exit status; 128 + n if signal n killed it.
        out: its standard output.
        errors: its standard error.
    """

    status: int
    out: str
    errors: str

    def pass_on_interrupt(self) -> None:
        """Raises KeyboardInterrupt if Ctrl-C killed it: then it was meant for this process too."""
        if self.status == 128 + signal.SIGINT:
            raise KeyboardInterrupt


class Program:
    """A program that is running, without standard input, in a session of its own.

    It is killed, with all processes that it started, at the end of a ``with`` block, by ``end``, or
    when this process ends, even if that is killed.

    Args:
        command: the program and its arguments.
        environment: its variables; None for those of this process.
        folder: where it runs; None for the current one.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        watched, self._lifeline = os.pipe()
        self._lock = threading.Lock()
        self._has_ended = False
        try:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _SUPERVISOR, "sh", *command],
                stdin=watched,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                env=environment,
                cwd=folder,
                start_new_session=True,
            )
        except BaseException:
            self.end()
            raise
        finally:
            os.close(watched)

    def __enter__(self) -> Program:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Kills it if it is still running, and all that it left running, and waits for it."""
        self.end()
        with self._process:
            pass
        with suppress(ProcessLookupError):  # as long as there are others, the number is theirs
            os.killpg(self._process.pid, signal.SIGKILL)

    def finish(self, seconds: float | None = None) -> Finished:
        """Waits for its end.

        Args:
            seconds: to wait at most; None for as long as it takes.

        Raises:
            subprocess.TimeoutExpired: it is still running.
        """
        out, errors = self._process.communicate(timeout=seconds)
        status = self._process.returncode
        return Finished(status if status >= 0 else 128 - status, out, errors)

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to it and to all that it started, if it is still running."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def end(self) -> None:
        """Kills it and all that it started, without waiting. Any thread may call this."""
        with self._lock:
            if not self._has_ended:
                self._has_ended = True
                os.close(self._lifeline)


class Programs:
    """Runs programs from several threads, and ends them together."""

    def __init__(self) -> None:
        self._running: set[Program] = set()
        self._lock = threading.Lock()
        self._has_ended = False

    def run(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> Finished:
        """Runs a program to its end.

        Args:
            command: the program and its arguments.
            environment: its variables; None for those of this process.

        Raises:
            CancelledError: all programs were ended.
            OSError: it cannot be started.
        """
        with self._lock:
            if self._has_ended:
                raise CancelledError
            program = Program(command, environment)
            self._running.add(program)
        with program:
            try:
                finished = program.finish()
            finally:
                with self._lock:
                    self._running.remove(program)
        if self._has_ended:
            raise CancelledError
        return finished

    @contextmanager
    def ended_by_errors(self) -> Iterator[None]:
        """Kills those that are running if the block raises, as Ctrl-C does, and starts no more."""
        try:
            yield
        except BaseException:
            with self._lock:
                self._has_ended = True
                for program in self._running:
                    program.end()
            raise


def run_program(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Finished:
    """Runs a program to its end, or to that of this process.

    Args:
        command: the program and its arguments.
        environment: its variables; None for those of this process.

    Raises:
        OSError: it cannot be started.
    """
    return Programs().run(command, environment)
