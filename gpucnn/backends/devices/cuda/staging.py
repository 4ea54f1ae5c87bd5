"""Copies from the host that do not wait for the GPU and do not need the host's array afterwards."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.devices.cuda.cupy_types import Event, Pointer, Stream
from gpucnn.backends.devices.cuda.failures import no_pinned_memory

SLOT = 256 << 10
"""Bytes that are copied at a time."""
SLOTS = 64
"""Copies that may be in progress: those of many steps, because a step has a few small ones."""


class Staging:
    """Host arrays on their way to a stream, through a ring of pinned memory.

    A GPU can copy only from pinned memory without the host's help. An array that is larger than the
    ring waits, piece by piece, until a slot is free again. Threads may share a ring.

    Args:
        cupy: the module.
        stream: where the copies take their turn.
    """

    def __init__(self, cupy: Any, stream: Stream) -> None:
        self._cupy, self._stream = cupy, stream
        self._lock = threading.Lock()
        self._slots: NDArray[np.uint8] | None = None
        self._copied: list[Event] = []
        self._next = 0

    def copy(self, target: Pointer, host: NDArray[Any]) -> None:
        """Copies a contiguous array of the host.

        Args:
            target: CuPy's pointer to the memory of the GPU.
            host: may be changed as soon as the call returns.

        Raises:
            BackendError: no memory can be pinned.
        """
        content = host.reshape(-1).view(np.uint8)
        with self._lock:
            for start in range(0, content.size, SLOT):
                self._copy_slot(target + start, content[start : start + SLOT])

    def _copy_slot(self, target: Pointer, content: NDArray[np.uint8]) -> None:
        if self._slots is None:
            self._copied = [event(self._cupy) for _ in range(SLOTS)]
            self._slots = pinned(self._cupy, SLOT * SLOTS).reshape(SLOTS, SLOT)
        slot, copied = self._slots[self._next], self._copied[self._next]
        self._next = (self._next + 1) % SLOTS
        copied.synchronize()
        slot[: content.size] = content
        target.copy_from_host_async(slot.ctypes.data, content.size, self._stream)
        copied.record(self._stream)


def pinned(cupy: Any, size: int) -> NDArray[np.uint8]:
    """Memory of the host that a GPU can read, uint8 (size,).

    Raises:
        BackendError: the system does not provide so much.
    """
    try:
        memory = cupy.cuda.alloc_pinned_memory(size)
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise no_pinned_memory(error, size) from error
    return np.frombuffer(memory, np.uint8, size)


def event(cupy: Any) -> Event:
    """An event that the host may wait for without keeping a core busy."""
    made: Event = cupy.cuda.Event(block=True, disable_timing=True)
    return made
