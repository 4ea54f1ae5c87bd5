"""Finding out what would be launched on any machine, without having it."""

from __future__ import annotations

from collections.abc import Callable

from gpucnn.backends.devices.planner import PlanningDevice
from gpucnn.backends.kernel_backend import KernelBackend
from gpucnn.launch.machine import EMULATED, Machine


def dry_run(run: Callable[[KernelBackend], object], machine: Machine = EMULATED) -> PlanningDevice:
    """``KernelBackend.dry_run`` with our own kernels, for any machine.

    Args:
        run: is called with a backend whose arrays have no contents.
        machine: what launches are planned for.

    Returns:
        The device that recorded the run: its ``sources`` and ``launches``.
    """
    return KernelBackend(PlanningDevice(machine)).dry_run(run)
