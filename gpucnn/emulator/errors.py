"""What the emulator raises: one class for each kind of mistake in a kernel or a launch.

Each error is one sentence. As far as they are known, it names the kernel, the block, the thread,
the source line and the array.
"""

from __future__ import annotations


class EmulatorError(RuntimeError):
    """Base of all errors of the emulator; raised itself if no other class fits."""


class CompilationError(EmulatorError):
    """A source that does not compile, or uses what the emulator does not support."""


class LaunchError(EmulatorError, ValueError):
    """A launch that no GPU would carry out: its arguments, sizes, or use of a resource."""


class RaceError(EmulatorError):
    """Two accesses of the same memory that nothing orders, one of them a write.

    An access of what an asynchronous copy is still reading or writing is one, too.
    """


class OutOfBoundsError(EmulatorError):
    """An access outside of every array of the launch."""


class MisalignedError(EmulatorError):
    """An access at an address that is no multiple of its size."""


class DivergenceError(EmulatorError):
    """A barrier or another collective that cannot complete: the wrong threads, mask or width."""


class UninitialisedError(EmulatorError):
    """A read of shared memory that the block has not written."""


class UndefinedBehaviourError(EmulatorError):
    """An operation without a result in C++: a shift, an overflow, a cast, a division by zero."""


class AssertionFailedError(EmulatorError):
    """An ``assert`` that failed, or a ``__trap``."""


class StackOverflowError(EmulatorError):
    """A thread whose local variables and calls need more than its stack."""


class TimeLimitError(EmulatorError):
    """A launch that took longer than it was allowed."""


class UnsupportedError(EmulatorError):
    """A call that the emulator, or its mode, does not support."""


class EmulatorWarning(UserWarning):
    """What works here, and may not on a GPU."""


FAILURE_KINDS: tuple[type[EmulatorError], ...] = (
    EmulatorError,
    LaunchError,
    RaceError,
    OutOfBoundsError,
    MisalignedError,
    DivergenceError,
    UninitialisedError,
    UndefinedBehaviourError,
    AssertionFailedError,
    StackOverflowError,
    TimeLimitError,
    UnsupportedError,
)
"""The class of each FailureKind of the runtime (include/failure_kind.h), by its number."""
