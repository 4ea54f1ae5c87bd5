"""What of CuPy's objects is used here. CuPy itself has no types."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import DTypeLike

from gpucnn.backends.interface.arrays import Array
from gpucnn.launch.launch import Grid


class Stream(Protocol):
    """``cupy.cuda.Stream``: work that runs in order."""

    @property
    def ptr(self) -> int:
        """CUDA's handle."""

    @property
    def done(self) -> bool:
        """Whether the stream is empty."""

    def use(self) -> object:
        """Makes this the thread's current stream."""

    def synchronize(self) -> None:
        """Waits until the stream is empty."""

    def wait_event(self, event: Event, /) -> None:
        """Lets later work on the stream wait for an event."""


class Event(Protocol):
    """``cupy.cuda.Event``: a point in a stream."""

    @property
    def done(self) -> bool:
        """Whether the stream has passed the point."""

    def record(self, stream: Stream, /) -> None:
        """Sets the point after all work that is in a stream now."""

    def synchronize(self) -> None:
        """Waits until the stream has passed the point."""


class Pointer(Protocol):
    """``cupy.cuda.MemoryPointer``: a place in the memory of a GPU."""

    @property
    def ptr(self) -> int:
        """The address."""

    @property
    def device_id(self) -> int:
        """Which GPU's memory it is."""

    def __add__(self, offset: int, /) -> Pointer: ...

    def __sub__(self, offset: int, /) -> Pointer: ...

    def copy_from_host_async(self, address: int, size: int, stream: Stream, /) -> None:
        """Copies bytes from the host to this place."""

    def copy_to_host_async(self, address: int, size: int, stream: Stream, /) -> None:
        """Copies bytes from this place to the host."""

    def memset_async(self, value: int, size: int, stream: Stream, /) -> None:
        """Sets bytes from this place on."""


class CupyArray(Array, Protocol):
    """``cupy.ndarray``."""

    @property
    def data(self) -> Pointer:
        """Where the first element is."""

    @property
    def strides(self) -> tuple[int, ...]:
        """Bytes from one element to the next along each axis."""

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""

    def view(self, dtype: DTypeLike, /) -> CupyArray:
        """The same memory as elements of another type."""

    def reshape(self, shape: tuple[int, ...], /) -> CupyArray:
        """A view with another shape."""

    def __getitem__(self, index: slice, /) -> CupyArray:
        """A view of a part."""


class RawKernel(Protocol):
    """``cupy.RawKernel``."""

    max_dynamic_shared_size_bytes: int

    def __call__(
        self,
        grid: Grid,
        block: Grid,
        arguments: tuple[CupyArray | np.generic, ...],
        *,
        shared_mem: int,
    ) -> None:
        """Puts the kernel onto the current stream."""
