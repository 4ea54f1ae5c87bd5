"""Finding out what is launched without launching it."""

from __future__ import annotations

from collections.abc import Callable

from gpucnn.backends.devices.planner import PlanningDevice
from gpucnn.backends.kernel_backend import KernelBackend
from gpucnn.launch.machine import EMULATED, Machine


def dry_run(run: Callable[[KernelBackend], object], machine: Machine = EMULATED) -> PlanningDevice:
    """Runs operations of our own kernels on a device that only records what they launch.

    Args:
        run: is called with a backend whose arrays have no contents.
        machine: what launches are planned for.

    Returns:
        The device, with the ``sources`` that the operations asked for and their ``launches``.
    """
    device = PlanningDevice(machine)
    run(KernelBackend(device))
    return device
