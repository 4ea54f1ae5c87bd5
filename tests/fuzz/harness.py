"""Runs many odd inputs through the code and reports each that is handled badly.

An input is handled well if the call returns a valid result, or raises a GpucnnError whose message
is one that a user can act on. Nothing else may come of it: no other exception, no warning, no
process, no temporary file, no open descriptor, no unexpected output, and neither more time nor more
memory than a fuzzer allows.

Inputs are numbered, and a number always gives the same input. They run in a process of their own
(``python tests/fuzz NAME NUMBER``), so that one which crashes or hangs can be reported by number.
"""

import ctypes
import faulthandler
import os
import random
import re
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import traceback
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

from gpucnn.errors import GpucnnError

T = TypeVar("T")

HERE = Path(__file__).parent
MIB = 1 << 20
_LONGEST_MESSAGE = 1000
MOST_FAILURES = 10
NUMBER_AT_HAND = "number"
_CAPABILITY_VERSION = 0x20080522
_READ_AND_WRITE_ALL = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
_ADOPT_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER
_STARTS = frozenset(
    ("subprocess.Popen", "os.posix_spawn", "os.fork", "os.forkpty", "os.exec", "os.system")
)
"""What Python's audit hooks report when a process is started."""


class Fuzzer(ABC):
    """Makes inputs and gives them to the code under test.

    Args:
        folder: of its own, for its files.

    Attributes:
        name: on the command line.
        seconds: that one input may take.
        memory: bytes that one input may add to the process's peak.
        may_keep_files_open: whether the code may open files for good.
        may_print: whether the code may print; what it prints is looked at.
        may_start_processes: whether the code may start other programs, which must have ended.
    """

    name: ClassVar[str]
    seconds: ClassVar[float] = 10.0
    memory: ClassVar[int] = 512 * MIB
    may_keep_files_open: ClassVar[bool] = False
    may_print: ClassVar[bool] = False
    may_start_processes: ClassVar[bool] = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def run(self, rng: random.Random, number: int) -> None:
        """Makes an input and tries it; an exception is a failure."""


def attempt(call: Callable[[], T], names: tuple[str, ...], lines: int = 1) -> T | None:
    """What a call returns, or None if it raises a GpucnnError with a proper message.

    Args:
        call: the code under test.
        names: one of them must be in the message: the file's, or what else says where to look.
        lines: how many the message may have.
    """
    try:
        return call()
    except GpucnnError as error:
        check_message(str(error), names, lines)
        return None


def check_message(message: str, names: tuple[str, ...], lines: int = 1) -> None:
    """Fails unless a message is of so many printable lines and has one of the names."""
    assert message.strip(), "the message is empty"
    assert message.count("\n") < lines, f"the message has several lines: {message!r}"
    assert message.replace("\n", "").replace("\t", "").isprintable(), (
        f"the message is not printable: {message!r}"
    )
    most = _LONGEST_MESSAGE * (1 if lines == 1 else 6)
    assert len(message) <= most, f"the message has {len(message)} characters: {message[:200]!r}…"
    for word in ("Traceback", "<class ", "object at 0x"):
        assert word not in message, f"the message has {word!r}: {message!r}"
    assert any(name in message for name in names), f"the message names none of {names}: {message!r}"


@dataclass(frozen=True)
class Failure:
    """An input that was handled badly."""

    fuzzer: str
    number: int
    problem: str

    def __str__(self) -> str:
        again = f"python tests/fuzz {self.fuzzer} {self.number}"
        return f"{self.fuzzer} {self.number}: {self.problem.rstrip()}\n  (again: {again})"


class Session:
    """The process in which inputs are tried, watched for what they leave behind.

    Args:
        kind: the fuzzer.
        folder: an empty one for its files, and for the number at hand.
    """

    def __init__(self, kind: type[Fuzzer], folder: Path) -> None:
        self._kind = kind
        self._places = [folder / name for name in ("temporary", "current", "home")]
        for place in self._places:
            place.mkdir()
        temporary, current, home = map(str, self._places)
        os.environ.update(TMPDIR=temporary, HOME=home, GPUCNN_CACHE_DIR=str(folder / "cache"))
        tempfile.tempdir = temporary
        os.chdir(current)
        self._warnings: list[str] = []
        self._started: list[str] = []
        self._note = os.open(folder / NUMBER_AT_HAND, os.O_WRONLY | os.O_CREAT)
        self._output = os.open(folder / "output", os.O_RDWR | os.O_CREAT)
        self._streams = (os.dup(1), os.dup(2))
        self._redirect((self._output, self._output))
        try:
            (folder / "own").mkdir()
            self._fuzzer = kind(folder / "own")
        except BaseException:
            self.close()
            raise
        self._clear(self._places)
        list(self._printed())
        self._watch()

    def _watch(self) -> None:
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, category, *_: self._warnings.append(
            f"{category.__name__}: {message}"
        )
        sys.addaudithook(lambda event, _: self._started.append(event) if event in _STARTS else None)
        faulthandler.enable(file=self._streams[1])
        assert ctypes.CDLL(None).prctl(_ADOPT_ORPHANS, 1, 0, 0, 0) == 0
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        limit = used + max(1024 * MIB, 2 * self._kind.memory)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        self._peak = _peak_memory()
        self._descriptors = _descriptors()

    @staticmethod
    def _redirect(streams: tuple[int, int]) -> None:
        for number, stream in enumerate(streams, 1):
            os.dup2(stream, number)

    def report(self, failure: Failure) -> None:
        """Prints a failure where the process began to print."""
        os.write(self._streams[0], f"{failure}\n\n".encode("utf-8", "backslashreplace"))

    def close(self) -> None:
        """Gives the process its streams again."""
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        self._redirect(self._streams)

    def failure(self, number: int) -> Failure | None:
        """Tries an input."""
        os.pwrite(self._note, f"{number:12}".encode(), 0)
        problem = ""
        rng = random.Random(f"{self._kind.name} {number}")
        faulthandler.dump_traceback_later(self._kind.seconds, exit=True, file=self._streams[1])
        try:
            self._fuzzer.run(rng, number)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # what is raised by Rust is no Exception
            problem = "".join(traceback.format_exception(error))
        finally:
            faulthandler.cancel_dump_traceback_later()
        problem = "\n".join(filter(None, (problem, *self._left_behind())))
        return Failure(self._kind.name, number, problem) if problem else None

    def _left_behind(self) -> Iterator[str]:
        yield from (f"a warning: {text}" for text in self._warnings)
        self._warnings.clear()
        if self._started and not self._kind.may_start_processes:
            yield f"a process was started: {', '.join(self._started)}"
        self._started.clear()
        yield from self._printed()
        if left := self._clear(self._places):
            yield f"files were left behind: {left}"
        if children := _children():
            yield f"processes were left behind: {children}"
            for child in children:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
        if (descriptors := _descriptors()) != self._descriptors:
            if not self._kind.may_keep_files_open:
                yield f"{descriptors - self._descriptors} descriptors were left open"
            self._descriptors = descriptors
        if (peak := _peak_memory()) > self._peak + self._kind.memory:
            yield f"{(peak - self._peak) // MIB} MiB of memory were taken"
        self._peak = max(self._peak, peak)

    def _printed(self) -> Iterator[str]:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        size = os.fstat(self._output).st_size
        if not size:
            return
        text = os.pread(self._output, min(size, MIB), 0).decode("utf-8", "backslashreplace")
        os.ftruncate(self._output, 0)
        os.lseek(self._output, 0, os.SEEK_SET)
        is_fine = text.replace("\n", "").isprintable() and "Traceback" not in text
        if not (self._kind.may_print and is_fine and "Warning" not in text):
            yield f"printed: {text[:2000]!r}"

    @staticmethod
    def _clear(places: list[Path]) -> list[str]:
        """Empties folders that should be empty, and says what was in them."""
        left = [entry for place in places for entry in os.scandir(place)]
        for entry in left:
            if entry.is_dir(follow_symlinks=False):
                remove_tree(entry.path)
            else:
                Path(entry.path).unlink()
        return [entry.name for entry in left]


def remove_tree(folder: str | Path, parent: int | None = None) -> None:
    """Removes a folder, whatever its permissions, and however long the paths in it."""
    os.chmod(folder, 0o700, dir_fd=parent)
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    descriptor = os.open(folder, flags, dir_fd=parent)
    try:
        for entry in list(os.scandir(descriptor)):
            if entry.is_dir(follow_symlinks=False):
                remove_tree(entry.name, descriptor)
            else:
                os.unlink(entry.name, dir_fd=descriptor)
    finally:
        os.close(descriptor)
    os.rmdir(folder, dir_fd=parent)


def _peak_memory() -> int:
    # getrusage's maximum would count what the parent had when it started this process.
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) * 1024


def _children() -> list[int]:
    """The processes that this one has started, or that those have and did not wait for."""
    return [int(n) for n in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@contextmanager
def without_privileges() -> Iterator[None]:
    """Takes root's right to read and write whatever the permissions, if this process has it."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = struct.pack("Ii", _CAPABILITY_VERSION, 0)
    before = ctypes.create_string_buffer(24)
    assert libc.capget(header, before) == 0
    effective, *rest = struct.unpack("6I", before.raw)
    assert libc.capset(header, struct.pack("6I", effective & ~_READ_AND_WRITE_ALL, *rest)) == 0
    try:
        yield
    finally:
        assert libc.capset(header, before) == 0


def _fast_folder() -> str | None:
    """A file system in memory with some space, if there is one."""
    with suppress(OSError):
        space = os.statvfs("/dev/shm")
        if os.access("/dev/shm", os.W_OK) and space.f_bavail * space.f_frsize > 256 * MIB:
            return "/dev/shm"
    return None


def run_here(kind: type[Fuzzer], numbers: range, most: int, folder: Path) -> int:
    """Tries inputs in this process, which is good for nothing else afterwards.

    Prints each failure and returns how many there were, ``most`` at most.
    """
    failures = 0
    session = Session(kind, folder)
    try:
        for number in numbers:
            if failure := session.failure(number):
                session.report(failure)
                failures += 1
            if failures == most:
                break
    finally:
        session.close()
    return failures


@contextmanager
def working_folder() -> Iterator[Path]:
    """A new folder for a session's files, removed in the end; in memory if there is space."""
    folder = Path(tempfile.mkdtemp(prefix="gpucnn-fuzz-", dir=_fast_folder()))
    here = Path.cwd()
    try:
        yield folder
    finally:
        os.chdir(here)
        remove_tree(folder)


def run_apart(name: str, numbers: range, seconds: float, most: int = MOST_FAILURES) -> str:
    """Tries inputs in a process of their own, which may die of one.

    Args:
        name: of the fuzzer.
        numbers: of the inputs.
        seconds: that all of them may take.
        most: failures after which to stop.

    Returns:
        The failures as text; empty without.
    """
    command = [sys.executable, str(HERE), name, str(numbers.start), str(len(numbers))]
    with working_folder() as folder:
        try:
            done = subprocess.run(
                [*command, "--most", str(most), "--folder", str(folder)],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                timeout=seconds, check=False, env={**os.environ, "MALLOC_ARENA_MAX": "2"},
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return f"{name}: {numbers} took more than {seconds} s"
        if done.returncode in (0, 1) and not done.stderr:
            return done.stdout
        noted = folder / NUMBER_AT_HAND
        number = int(noted.read_text()) if noted.exists() else numbers.start
        problem = f"the process died with status {done.returncode}:\n{done.stderr[-4000:]}"
        return f"{done.stdout}{Failure(name, number, problem)}"
