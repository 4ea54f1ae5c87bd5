"""The operations as launches of kernels, on whatever device runs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from gpucnn.backends.base import Backend
from gpucnn.backends.devices.device import Device, Kernel, Module
from gpucnn.backends.devices.planner import PlanningDevice
from gpucnn.backends.devices.source import KERNELS, KernelSource
from gpucnn.backends.interface.arrays import Array
from gpucnn.backends.kernel_backend.prepared import Prepared
from gpucnn.errors import BackendError, ShapeError
from gpucnn.launch import AUTOMATIC, Choice, Launch, plan
from gpucnn.launch.slices import SHORTEST_SLICE
from gpucnn.launch.tiles import GemmTile
from gpucnn.launch.variants import Variant
from gpucnn.operations.problem import Problem

_BOUNDARY = 16
"""Bytes: kernels read this many at once, from addresses that are a multiple of it."""


class Held:
    """A context, made once and entered as often as one likes: what is inside may be timed."""

    def __init__(self, backend: KernelBackend, choice: Choice) -> None:
        self._backend, self._choice = backend, choice

    def __enter__(self) -> None:
        self._before = self._backend.choice
        self._backend.choice = self._choice

    def __exit__(self, *_error: object) -> None:
        self._backend.choice = self._before


class KernelBackend(Backend):
    """Our own CUDA, on a device: an NVIDIA GPU, or the emulator.

    Args:
        device: what runs the kernels; the backend has its name.
        precision: "fp32".

    Raises:
        BackendError: another precision.
    """

    def __init__(self, device: Device, precision: str = "fp32") -> None:
        if precision != "fp32":
            raise BackendError(
                f'the {device.name} backend has no precision "{precision}"; it has fp32'
            )
        self.device = device
        self.name = device.name
        self.precision = precision
        self.dtype = np.dtype(np.float32)
        self._choice = AUTOMATIC
        self._kernels: Path | None = None
        self.runs_ahead = device.runs_ahead
        self._modules: dict[KernelSource, Module] = {}
        self._prepared: dict[int, Prepared] = {}
        """By the identity of a problem, which lives as long: hashing its sizes would take longer
        than all the rest of a launch."""
        self._prepared_by_choice: dict[tuple[Choice, Path | None], dict[int, Prepared]] = {
            (self.choice, self.kernels): self._prepared
        }

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike | None = None) -> Array:
        """A contiguous array with undefined contents."""
        return self.device.empty(shape, self.dtype if dtype is None else np.dtype(dtype))

    def zeros(self, shape: tuple[int, ...], dtype: DTypeLike | None = None) -> Array:
        """A contiguous array of zeros."""
        return self.device.zeros(shape, self.dtype if dtype is None else np.dtype(dtype))

    def asarray(self, array: ArrayLike, dtype: DTypeLike | None = None) -> Array:
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

    def is_idle(self) -> bool:
        """Whether all work handed to the device is done."""
        return self.device.is_idle()

    def synchronise(self) -> None:
        """Waits until all work handed to the device is done."""
        self.device.synchronise()

    @property
    def choice(self) -> Choice:
        """What is not left to the plans now."""
        return self._choice

    @choice.setter
    def choice(self, choice: Choice) -> None:
        self._choice = choice
        self._prepared = self._prepared_by_choice.setdefault((choice, self._kernels), {})

    @property
    def kernels(self) -> Path | None:
        """A folder where kernel files are looked for before gpucnn's own; None for none."""
        return self._kernels

    @kernels.setter
    def kernels(self, folder: Path | None) -> None:
        self._kernels = folder
        self._prepared = self._prepared_by_choice.setdefault((self._choice, folder), {})

    def held_to(
        self,
        variant: Variant | None = None,
        tile: GemmTile | None = None,
        shortest_slice: int = SHORTEST_SLICE,
    ) -> Held:
        """Takes the choice of kernels from the plans inside a ``with`` block, for tests and clocks.

        Args:
            variant: of convolutions. One that cannot do a problem is a ShapeError at its launch.
            tile: of matrix products.
            shortest_slice: terms that a slice of the sums of a convolution's product has at least.
        """
        return Held(self, Choice(variant, tile, shortest_slice))

    def _carry_out(
        self, problem: Problem, arrays: Sequence[Array | None], numbers: Mapping[str, float]
    ) -> None:
        prepared = self._prepared.get(id(problem))
        if prepared is None:
            launches = plan(problem, self.device.machine, self.choice)
            prepared = self._prepared[id(problem)] = Prepared(problem, launches, self._compiled)
        prepared.run(self.device, arrays, numbers)

    def _compiled(self, one: Launch) -> Kernel:
        """The kernel of a launch, compiled if it is new.

        Raises:
            BackendError: a file of ``kernels`` has no such kernel, or one with other parameters.
        """
        source = self._source(one)
        module = self._modules.get(source)
        if module is None:
            module = self._modules[source] = self.device.compile(source)
        given = len(one.arguments)
        try:
            kernel = module[one.kernel]
        except KeyError:
            raise BackendError(
                f"{source.path} has no kernel {one.kernel}, which is launched with {given} "
                f"arguments; it has {', '.join(module) or 'none'}"
            ) from None
        if kernel.parameter_count not in (None, given):  # A GPU would take whatever is in memory.
            raise BackendError(
                f"{source.path}: {one.kernel} is launched with {given} arguments, and the number "
                f"of its parameters is {kernel.parameter_count}"
            )
        return kernel

    def _source(self, one: Launch) -> KernelSource:
        file, own = Path(one.file), self.kernels
        if file.is_absolute():
            return KernelSource(file.name, one.constants, file.parent)
        folder = own if own is not None and (own / file).is_file() else KERNELS
        return KernelSource(one.file, one.constants, folder)

    def _is_misaligned(self, array: Array) -> bool:
        return self.device.address(array) % _BOUNDARY != 0 and array.size > 0

    def _check(
        self,
        name: str,
        array: Array | None,
        shape: tuple[int, ...] | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        """As on every backend; and kernels read several elements at once, so memory is aligned."""
        super()._check(name, array, shape, dtype)
        if array is not None and self._is_misaligned(array):
            raise ShapeError(
                f"{name} does not begin on a boundary of {_BOUNDARY} bytes (use asarray)"
            )

    def free_memory(self) -> int:
        """Bytes that arrays may still take of the device's own memory; 0 if it has none."""
        return self.device.free_memory()

    def hardware(self) -> dict[str, str]:
        """What the device is, and what drives it."""
        return self.device.hardware()

    def compile_ahead(self, run: Callable[[Backend], object]) -> None:
        """Compiles the kernels of a run in parallel, with a progress bar if it takes long."""
        self.device.compile_all(self.dry_run(run).sources)

    def dry_run(self, run: Callable[[KernelBackend], object]) -> PlanningDevice:
        """Finds out what a run on this backend would launch, without launching it.

        Args:
            run: is called with a backend whose arrays have no contents.

        Returns:
            The device that recorded the run: its ``sources`` and ``launches``.
        """
        device = PlanningDevice(self.device.machine, self.name)
        planner = KernelBackend(device, self.precision)
        planner.kernels = self.kernels
        run(planner)
        return device
