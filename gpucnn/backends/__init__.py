"""Backends by name: ``numpy``, ``emulator``, ``cuda``, or ``auto``.

Importing this costs nothing: the command line, which must start quickly, has its names from here.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from gpucnn.errors import BackendError, did_you_mean

if TYPE_CHECKING:
    from gpucnn.backends.base import Backend
    from gpucnn.launch.machine import Machine

NAMES = ("auto", "numpy", "emulator", "cuda")
MODES = ("fast", "race", "sanitize", "ptx")
"""Of the emulator; it has the first one if none is given. The last needs NVIDIA's compiler."""
CHOICES = (*NAMES, *(f"emulator:{mode}" for mode in MODES[1:]))
"""What ``--backend`` takes."""
ENVIRONMENT_VARIABLE = "GPUCNN_BACKEND"


def get_backend(name: str | None = None, precision: str = "fp32", quiet: bool = False) -> Backend:
    """The backend of this name.

    Args:
        name: one of NAMES; None for what GPUCNN_BACKEND says, or else "auto". "auto" chooses CUDA
            if a GPU can be used and NumPy otherwise, and says on stderr which, and why not CUDA
            if there is an NVIDIA driver. A GPU other than the first follows a colon: "cuda:1";
            ":1" is that GPU of the backend that None stands for, and of "cuda" if that is "auto".
            "emulator:race" and "emulator:sanitize" check more than the emulator usually does, and
            "emulator:ptx" runs the kernels as NVIDIA's compiler has compiled them;
            "emulator:sm_80" and "emulator:race:sm_80" run the launches that are planned for such a
            GPU.
        precision: "fp32" is on every backend; "fp64", for gradient checks, on "numpy" only.
        quiet: whether "auto" says nothing on stderr.

    Raises:
        BackendError: an unknown name, or a backend that cannot work here, and what is missing.
    """
    name, place = _split(name or "")
    if not name:
        name, usual = _split(os.environ.get(ENVIRONMENT_VARIABLE, ""))
        place = place or usual
    if name in ("", "auto"):
        name = "cuda" if place else _first_that_works(quiet)
    if name == "numpy":
        from gpucnn.backends.numpy_backend import NumpyBackend

        if place:
            raise BackendError("the numpy backend has no GPUs to choose from; use --backend cuda")
        return NumpyBackend(precision)
    if name == "emulator":
        from gpucnn.backends.devices.emulator_device import EmulatorDevice
        from gpucnn.backends.kernel_backend import KernelBackend

        mode, machine = _mode_and_machine(place)
        return KernelBackend(EmulatorDevice(mode, machine=find_machine(machine)), precision)
    if name == "cuda":
        from gpucnn.backends.devices.cuda.device import CudaDevice
        from gpucnn.backends.kernel_backend import KernelBackend

        return KernelBackend(CudaDevice(_ordinal(place)), precision)
    raise _unknown(name)


def why_unavailable(name: str, device: int = 0) -> str:
    """One sentence on why a backend cannot be used here; empty where it can.

    Args:
        name: of the backend; the emulator's mode may follow a colon.
        device: which GPU, for the backend that takes one.

    Raises:
        BackendError: an unknown name.
    """
    if name.partition(":")[0] == "emulator":
        from gpucnn.backends.devices import emulator_device

        mode, _ = _mode_and_machine(_split(name)[1])
        return emulator_device.why_unavailable(mode)
    if name == "cuda":
        from gpucnn.backends.devices.cuda import availability

        return availability.why_unavailable(device)
    if name not in NAMES:
        raise _unknown(name)
    return ""


def _unknown(name: str) -> BackendError:
    return BackendError(f'there is no backend "{name}"; {did_you_mean(name, NAMES)}')


def _split(name: str) -> tuple[str, str]:
    """("cuda", "1") for "cuda:1"; either may be empty.

    Raises:
        BackendError: nothing after the colon.
    """
    name, colon, place = name.partition(":")
    if colon and not place:
        raise _not_a_gpu(place)
    return name, place


def _mode_and_machine(place: str) -> tuple[str, str]:
    """("race", "sm_80") for "race:sm_80"; either may be left out.

    Raises:
        BackendError: what can only be a mode is none.
    """
    first, _, rest = place.partition(":")
    if first in MODES:
        return first, rest
    if rest or (first.isidentifier() and not first.startswith("sm")):
        raise BackendError(f'the emulator has no mode "{first}"; {did_you_mean(first, MODES)}')
    return MODES[0], first


def _ordinal(place: str) -> int:
    if place and not place.isdecimal():
        raise _not_a_gpu(place)
    return int(place or 0)


def _not_a_gpu(place: str) -> BackendError:
    return BackendError(f'"{place}" is not the number of a GPU, as in cuda:0')


def find_machine(place: str) -> Machine:
    """The machine of this architecture; the one that the emulator usually stands in for if empty.

    Raises:
        BackendError: no such machine.
    """
    from gpucnn.launch.machine import EMULATED, MACHINES

    if not place:
        return EMULATED
    if place.isdecimal():
        raise BackendError("the emulator backend has no GPUs to choose from; use --backend cuda")
    if place not in MACHINES:
        raise BackendError(f'there is no machine "{place}"; {did_you_mean(place, MACHINES)}')
    return MACHINES[place]


def _first_that_works(quiet: bool) -> str:
    why_not = why_unavailable("cuda")
    name = "numpy" if why_not else "cuda"
    if not quiet:
        from gpucnn.backends.devices.cuda.availability import has_driver

        reason = f"; not cuda, because {why_not}" if why_not and has_driver() else ""
        print(f"backend: {name} (chosen automatically{reason})", file=sys.stderr)
    return name
