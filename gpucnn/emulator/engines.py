"""The modes by name: the emulator of C++ in three of them, and the executor of PTX."""

from __future__ import annotations

from gpucnn.emulator import engine
from gpucnn.emulator.engine import Emulator
from gpucnn.emulator.errors import EmulatorError, LaunchError
from gpucnn.emulator.interface import Engine
from gpucnn.emulator.launch import Limits
from gpucnn.emulator.modes import MODES as OF_THE_EMULATOR
from gpucnn.emulator.options import capability_of
from gpucnn.emulator.ptx import nvrtc
from gpucnn.emulator.reporting import Progress, Report, no_progress, no_report
from gpucnn.emulator.tensor_core import EMULATED, tensor_core_of

PTX = "ptx"
MODES = (*OF_THE_EMULATOR, PTX)
"""A kernel is run from its C++, with more or fewer checks, or from what NVRTC makes of it."""


def find_engine(
    mode: str,
    workers: int | None = None,
    limits: Limits | None = None,
    progress: Progress = no_progress,
    report: Report = no_report,
    architecture: str = "",
) -> Engine:
    """What runs kernels in a mode.

    Args:
        mode: one of MODES.
        workers: threads of the host; None for as many as the process has cores.
        limits: of the GPU that it stands in for; None for those of an H100.
        progress: shows what is being compiled.
        report: is given each source that has warnings, whether or not it had to be compiled.
        architecture: of that GPU, such as "sm_90a", whose tensor cores it has, and for which mode
            ptx compiles; empty for an H100, and for what the options of each source name.

    Raises:
        EmulatorError: an unknown mode, no workers, or the mode does not work here.
    """
    if mode not in MODES:
        raise EmulatorError(f'the emulator has no mode "{mode}"; it has {", ".join(MODES)}')
    if mode == PTX:
        from gpucnn.emulator.ptx.engine import PtxEmulator

        return PtxEmulator(workers, limits, progress, report, architecture)
    tensor_core = tensor_core_of(capability_of(architecture)) if architecture else EMULATED
    return Emulator(mode, workers, limits, progress, report, tensor_core)


def check_jitter(mode: str, jitter: bool) -> None:
    """Raises LaunchError if approximate functions are to err in a mode in which they cannot."""
    if jitter and mode != PTX:
        raise LaunchError(
            f"jitter is for mode ptx: mode {mode} has the host's functions, not the GPU's "
            "approximate ones"
        )


def why_unavailable(mode: str = "race") -> str:
    """One sentence on why a mode does not work here; empty if it does.

    Args:
        mode: one of MODES.
    """
    return engine.why_unavailable() or (nvrtc.why_unavailable() if mode == PTX else "")
