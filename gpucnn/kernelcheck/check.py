"""The check: problems on every mode of the emulator, or on a GPU, against the reference."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gpucnn.backends.devices.device import Device
from gpucnn.backends.devices.planner import PlanningDevice
from gpucnn.backends.devices.source import KernelSource, check_used
from gpucnn.backends.kernel_backend import KernelBackend
from gpucnn.errors import BackendError
from gpucnn.kernelcheck.case import Case, Outcome
from gpucnn.kernelcheck.reference import Expected, expect
from gpucnn.launch.machine import EMULATED, Machine
from gpucnn.text import shown

MODES = ("fast", "race", "sanitize", "cuda")
"""Those of the emulator, and a GPU."""
TIME_LIMIT = 30.0
"""Seconds that one launch may take on the emulator; a right kernel takes far less."""


@dataclass(frozen=True)
class Finding:
    """One problem in one mode.

    Attributes:
        problem: which.
        mode: where.
        worst: the largest error as a share of its bound; infinite if no rounding explains it, or
            if there is no outcome.
        complaint: what is wrong, and what to do; empty if nothing is.
        seconds: how long it took, compiling not included.
    """

    problem: Case
    mode: str
    worst: float
    complaint: str
    seconds: float


class Checker:
    """Runs problems in one mode.

    Args:
        mode: one of MODES.
        kernels: a folder whose kernel files take the place of ours of the same names, or None.
        ordinal: which GPU, in the mode that takes one.
        machine: the GPU that the emulator stands in for, whose launches it runs.

    Raises:
        BackendError: the mode cannot work here, and what is missing.

    Attributes:
        devices: what runs each problem; in fast mode two, with other schedules and other workers.
    """

    def __init__(
        self,
        mode: str,
        kernels: Path | None = None,
        ordinal: int = 0,
        machine: Machine = EMULATED,
    ) -> None:
        self.mode = mode
        self.kernels = kernels
        self.devices = _devices(mode, ordinal, machine)

    def compile(self, problems: Sequence[Case]) -> None:
        """Compiles all that the problems need, side by side.

        What does not compile is left for ``check`` to find.

        Raises:
            BackendError: they need no file of the folder of kernels.
        """
        try:
            sources = self.sources(problems)
        except BackendError:  # of a kernel that a file of the folder lacks
            return
        if self.kernels is not None:
            check_used(sources, self.kernels)
        with suppress(BackendError):
            self.devices[0].compile_all(sources)

    def sources(self, problems: Sequence[Case]) -> tuple[KernelSource, ...]:
        """What the problems have compiled."""
        planner = PlanningDevice(self.devices[0].machine)
        backend = self.backend(planner)
        for problem in problems:
            run(problem, backend)
        return planner.sources

    def own_kernels(self, problem: Case) -> frozenset[tuple[str, str]]:
        """What the problem launches of the folder's files: file and kernel."""
        if self.kernels is None:
            return frozenset()
        planner = PlanningDevice(self.devices[0].machine)
        run(problem, KernelBackend(planner))  # with our files, for others may lack a kernel
        launched = {(kernel.source.file, kernel.name) for kernel in planner.launches}
        return frozenset(each for each in launched if (self.kernels / each[0]).is_file())

    def check_all(self, problems: Sequence[Case]) -> Iterator[Finding]:
        """Compiles all that the problems need, and checks one after the other.

        Of an operation of which one took too long, the rest is left out: it would wait as long
        again.

        Raises:
            BackendError: the problems need no file of the folder.
        """
        self.compile(problems)
        late: set[str] = set()
        for problem in problems:
            if problem.kind.operation in late:
                continue
            finding = self.check(problem, expect(problem))
            if finding.complaint and finding.seconds >= TIME_LIMIT:
                late.add(problem.kind.operation)
            yield finding

    def check(self, problem: Case, expected: Expected) -> Finding:
        """Whether the problem's outcome is right, and the same whatever the schedule."""
        start = time.perf_counter()
        worst, complaint = float("inf"), ""
        try:
            outcomes = [run(problem, self.backend(device)) for device in self.devices]
        except BackendError as error:
            complaint = str(error)
        seconds = time.perf_counter() - start
        if not complaint:
            worst = max(expected.worst(outcome) for outcome in outcomes)
            complaints = (expected.complaint(outcome) for outcome in outcomes)
            complaint = next(filter(None, complaints), "")
            difference = "" if complaint else _difference(outcomes)
            if difference or not worst < float("inf"):
                complaint = f"{complaint or difference}; {self._advice(problem)}"
        return Finding(problem, self.mode, worst, complaint, seconds)

    def _advice(self, problem: Case) -> str:
        """How to find what no rounding explains."""
        if self.mode == "race":
            return "no race was found, so look at indices and at what is read before it is written"
        command = f"gpucnn kernels check --mode race --operation {problem.kind.operation}"
        if self.kernels is not None:
            command += f" --kernels {shown(self.kernels)}"
        return f"the race mode reports the line: {command}"

    def backend(self, device: Device) -> KernelBackend:
        """A backend on one of the devices."""
        backend = KernelBackend(device)
        backend.kernels = self.kernels
        return backend


def check(
    problems: Sequence[Case], mode: str, kernels: Path | None = None, ordinal: int = 0
) -> Iterator[Finding]:
    """As ``Checker.check_all``.

    Args:
        problems: which.
        mode: one of MODES.
        kernels: a folder whose kernel files take the place of ours of the same names, or None.
        ordinal: which GPU, in the mode that takes one.

    Raises:
        BackendError: the mode cannot work here, or the problems need no file of the folder.
    """
    yield from Checker(mode, kernels, ordinal).check_all(problems)


def _devices(mode: str, ordinal: int, machine: Machine) -> tuple[Device, ...]:
    if mode == "cuda":
        from gpucnn.backends.devices.cuda.device import CudaDevice

        return (CudaDevice(ordinal),)
    from gpucnn.backends.devices.emulator.device import EmulatorDevice

    first = EmulatorDevice(mode, time_limit=TIME_LIMIT, machine=machine)
    if mode != "fast":
        return (first,)
    other = EmulatorDevice(mode, 12345, workers=1, time_limit=TIME_LIMIT, machine=machine)
    return first, other


def run(problem: Case, backend: KernelBackend) -> Outcome:
    """The problem's outcome, by the variant and tile that it names, with slices of its length."""
    with backend.held_to(problem.variant, problem.tile, problem.shortest_slice):
        return problem.run(backend)


def _difference(outcomes: Sequence[Outcome]) -> str:
    """Where outcomes under different schedules differ."""
    first = outcomes[0]
    for other in outcomes[1:]:
        for name, array in other.items():
            if array.tobytes() != first[name].tobytes():
                return f"{name} depends on the order in which threads and blocks run"
    return ""
