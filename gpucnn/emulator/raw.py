"""``RawKernel``, as CuPy has it, on the emulator."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gpucnn.backends.devices.source import KernelSource
from gpucnn.emulator.errors import EmulatorError
from gpucnn.errors import BackendError

_GUARDED_BYTES = 2**16
"""Arrays of at most so many bytes lie between gaps in fast mode, too; copying more takes long."""


class RawKernel:
    """A kernel, compiled when it is first called."""

    def __init__(
        self,
        code: str,
        name: str,
        options: Sequence[str] = (),
        *,
        mode: str = "race",
        seed: int = 0,
        allow_same_value_writes: bool = False,
    ) -> None:
        # Not at the top: it imports this package.
        from gpucnn.backends.devices.emulator_device import EmulatorDevice

        self._code, self._name, self._options = code, name, options
        self._device = EmulatorDevice(
            mode,
            seed,
            guarded_bytes=_GUARDED_BYTES,
            allow_same_value_writes=allow_same_value_writes,
        )

    def __call__(
        self, grid: Sequence[int], block: Sequence[int], args: Sequence[Any], *, shared_mem: int = 0
    ) -> None:
        """Runs it."""
        folder = Path(tempfile.mkdtemp())
        (folder / "kernel.cu").write_text(self._code)
        kernel = self._device.compile(KernelSource("kernel.cu", (), folder))[self._name]
        sizes = [(x, y, z) for x, y, z in ((*numbers, 1, 1)[:3] for numbers in (grid, block))]
        values = [
            np.int64(a) if isinstance(a, int) else np.float64(a) if isinstance(a, float) else a
            for a in args
        ]
        try:
            self._device.launch(kernel, sizes[0], sizes[1], shared_mem, values)
        except BackendError as error:
            if isinstance(error.__cause__, EmulatorError):
                raise error.__cause__ from None
            raise
