"""What all families of launches share: arrays of the device, kernels by name, grids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpucnn.backends.devices.device import LARGEST_GRID, Argument, Device, Kernel, Module
from gpucnn.backends.devices.launched import misfit
from gpucnn.backends.devices.source import KERNELS, Constant, KernelSource
from gpucnn.backends.interface.arrays import Array, ArrayOperations
from gpucnn.errors import BackendError, ShapeError
from gpucnn.launch.choice import Choice
from gpucnn.launch.elementwise import THREADS, VECTOR
from gpucnn.launch.images import image_grid as image_grid
from gpucnn.launch.launch import filled
from gpucnn.operations.geometry import ceil_divide

_BOUNDARY = 16
"""Bytes: what kernels read at once begins at a multiple of so many."""


class KernelArrays(ArrayOperations):
    """Allocation, compilation and launching, for all families of operations.

    Attributes:
        device: what runs the kernels.
        kernels: a folder where kernel files are looked for before gpucnn's own; None for none.
    """

    device: Device
    kernels: Path | None = None
    choice: Choice
    _modules: dict[KernelSource, Module]
    _launched: dict[tuple[object, ...], Kernel]
    """By what ``_launch`` is given: a key that is made and found faster than a source is."""

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike | None = None) -> Array:
        """A contiguous array with undefined contents."""
        return self.device.empty(shape, self.dtype if dtype is None else np.dtype(dtype))

    def zeros(self, shape: tuple[int, ...], dtype: DTypeLike | None = None) -> Array:
        """A contiguous array of zeros."""
        return self.device.zeros(shape, self.dtype if dtype is None else np.dtype(dtype))

    def asarray(self, array: Any, dtype: DTypeLike | None = None) -> Array:
        """A contiguous array of the device with a host array's contents."""
        host = np.asarray(array)
        if dtype is None:
            dtype = self.dtype if np.issubdtype(host.dtype, np.floating) else host.dtype
        return self.device.asarray(np.ascontiguousarray(host, dtype))

    def upload(self, array: NDArray[Any]) -> Array:
        """A host array on the device, copied while it is at work."""
        return self.device.upload(np.ascontiguousarray(array))

    def _write(self, array: Array, host: NDArray[Any]) -> None:
        self.device.write(array, host)

    def to_numpy(self, array: Array) -> NDArray[Any]:
        """A copy on the host."""
        return self.device.to_numpy(array)

    def synchronise(self) -> None:
        """Waits until all work handed to the device is done."""
        self.device.synchronise()

    def _is_misaligned(self, array: Array) -> bool:
        return self.device.address(array) % _BOUNDARY != 0 and array.size > 0

    def _check(
        self,
        name: str,
        array: Array,
        shape: tuple[int, ...] | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        """As on every backend; and kernels read several elements at once, so memory is aligned."""
        super()._check(name, array, shape, dtype)
        if array.size and self._is_misaligned(array):
            raise ShapeError(
                f"{name} does not begin on a boundary of {_BOUNDARY} bytes (use asarray)"
            )

    def _launch(
        self,
        file: str,
        function: str,
        grid: Sequence[int],
        arguments: Sequence[Argument],
        block: Sequence[int] = (THREADS,),
        shared_bytes: int = 0,
        **constants: Constant,
    ) -> None:
        """Launches a kernel, compiled if it is new; an empty grid launches nothing.

        Grid and block are filled up with ones. ``constants`` are the compilation's.

        Raises:
            ShapeError: more blocks along an axis than a GPU has.
            BackendError: a file of ``kernels`` has no such kernel, or one with other parameters.
        """
        blocks = x, y, z = filled(grid)
        if x < 1 or y < 1 or z < 1:
            return
        if x > LARGEST_GRID[0] or y > LARGEST_GRID[1] or z > LARGEST_GRID[2]:
            raise ShapeError(
                f"{function} would need a grid of {blocks} blocks, a GPU has at most "
                f"{LARGEST_GRID}; use smaller batches"
            )
        key = (file, function, self.kernels, *constants, *constants.values())
        kernel = self._launched.get(key)
        if kernel is None:
            source = KernelSource(file, tuple(constants.items()), self._folder_of(file))
            kernel = self._launched[key] = self._kernel(source, function, len(arguments))
        self.device.launch(kernel, blocks, filled(block), shared_bytes, arguments)

    def _kernel(self, source: KernelSource, function: str, arguments: int) -> Kernel:
        if source.folder != KERNELS and (reason := misfit(source, function, arguments)):
            raise BackendError(reason)
        module = self._module(source)
        try:
            return module[function]
        except KeyError:
            raise BackendError(
                f"{source.path} has no kernel {function}; it has {', '.join(module) or 'none'}"
            ) from None

    def _module(self, source: KernelSource) -> Module:
        module = self._modules.get(source)
        if module is None:
            module = self._modules[source] = self.device.compile(source)
        return module

    def _folder_of(self, file: str) -> Path:
        own = self.kernels
        return own if own is not None and (own / file).is_file() else KERNELS

    def _launch_elements(
        self,
        file: str,
        function: str,
        count: int,
        arguments: Sequence[Argument],
        **constants: Constant,
    ) -> None:
        """Launches an elementwise kernel over ``count`` elements, VECTOR of them a thread.

        The count, as a long long, is passed behind the other arguments.
        """
        blocks = ceil_divide(count, THREADS * VECTOR)
        counted = (*arguments, np.int64(count))
        self._launch(file, function, (blocks,), counted, (THREADS,), 0, **constants)
