"""Batches of a data set that does not fit on the GPU, copied while the GPU works."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.devices.cuda.cupy_types import CupyArray, Stream
from gpucnn.backends.devices.cuda.staging import event, pinned


class Uploads:
    """Arrays from the host, one after the other, each valid until the next one's turn is over.

    Two buffers take turns, each of pinned memory and of memory on the GPU, and the copies have a
    stream of their own. A copy and a step overlap although the training loop asks for a batch only
    when it needs it: launches return at once, so the host asks for batch n + 1 while the GPU is
    still at step n. The copy waits only for step n - 1, which read the same buffer, and not for
    step n; and step n + 1 waits for the copy. So in the long run a step takes as long as the
    slowest of the host, the copy and the kernels, and not as long as their sum. The host waits
    until the pinned memory has been copied, so it is two steps ahead at most.

    Args:
        cupy: the module.
        stream: where the arrays are read.
        empty: gives uint8 memory of the GPU, which work on ``stream`` may still be using.
    """

    def __init__(self, cupy: Any, stream: Stream, empty: Callable[[int], CupyArray]) -> None:
        self._cupy, self._stream, self._empty = cupy, stream, empty
        self._copies: Stream = cupy.cuda.Stream(non_blocking=True)
        self._buffers = (_Buffer(cupy), _Buffer(cupy))
        self._turn = 0

    def upload(self, host: NDArray[Any]) -> CupyArray:
        """The contents of a contiguous host array on the GPU.

        Work that reads the result must be launched before the next call.

        Args:
            host: may be changed as soon as the call returns.
        """
        if not host.nbytes:
            return self._empty(0).view(host.dtype).reshape(host.shape)
        # Everything that reads the last array has been launched by now.
        self._buffers[self._turn].used.record(self._stream)
        self._turn = 1 - self._turn
        buffer = self._buffers[self._turn]
        buffer.copied.synchronize()
        if buffer.pinned.size < host.nbytes:
            self._enlarge(buffer, host.nbytes)
        buffer.pinned[: host.nbytes] = host.reshape(-1).view(np.uint8)
        self._copies.wait_event(buffer.used)
        target = buffer.memory[: host.nbytes]
        target.data.copy_from_host_async(buffer.pinned.ctypes.data, host.nbytes, self._copies)
        buffer.copied.record(self._copies)
        self._stream.wait_event(buffer.copied)
        return target.view(host.dtype).reshape(host.shape)

    def _enlarge(self, buffer: _Buffer, size: int) -> None:
        memory, host = self._empty(size), pinned(self._cupy, size)
        buffer.memory, buffer.pinned = memory, host  # both are there, or neither
        # The new memory's last user may not be done with it.
        buffer.used.record(self._stream)


class _Buffer:
    """Memory for a batch on both sides, and the events that mark when each side is free."""

    def __init__(self, cupy: Any) -> None:
        self.pinned: NDArray[np.uint8] = np.empty(0, np.uint8)
        self.memory: CupyArray
        self.copied, self.used = event(cupy), event(cupy)
