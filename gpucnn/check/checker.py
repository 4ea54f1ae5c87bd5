"""The check: cases in every mode of the emulator, or on a GPU, against the references."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gpucnn.backends.devices.device import Device
from gpucnn.backends.devices.source import KernelSource, check_used
from gpucnn.backends.dry_run import dry_run
from gpucnn.backends.kernel_backend import KernelBackend
from gpucnn.check.case import Case, Outcome
from gpucnn.check.expected import Expected, expect
from gpucnn.errors import BackendError
from gpucnn.launch.machine import EMULATED, Machine
from gpucnn.text import shown

TIME_LIMIT = 30.0
"""Seconds that one launch may take on the emulator; a correct kernel takes far less."""


@dataclass(frozen=True)
class Finding:
    """What the check of one case in one mode found.

    Attributes:
        case: the case.
        mode: one of the emulator's, or "cuda".
        worst: the largest error as a share of its bound; infinite if no rounding explains it, or
            if there is no outcome.
        complaint: what is wrong, and what to do; empty if nothing is.
        seconds: how long it took, without compilation.
    """

    case: Case
    mode: str
    worst: float
    complaint: str
    seconds: float


class Checker:
    """Checks cases in one mode.

    Args:
        mode: one of the emulator's, or "cuda" for a GPU.
        kernels: a folder whose kernel files take the place of ours of the same names, or None.
        ordinal: which GPU, in the mode "cuda".
        machine: the GPU whose launches the emulator runs.
        jitter: whether approximate functions err in the mode "ptx", as far as NVIDIA says they may.

    Raises:
        BackendError: the mode does not work here; the message says what is missing.

    Attributes:
        devices: what runs each case; in fast mode two, which differ in schedule and in the number
            of workers.
    """

    def __init__(
        self,
        mode: str,
        kernels: Path | None = None,
        ordinal: int = 0,
        machine: Machine = EMULATED,
        jitter: bool = False,
    ) -> None:
        self.mode = mode
        self.kernels = kernels
        self.devices = _devices(mode, ordinal, machine, jitter)

    def compile(self, cases: Sequence[Case]) -> None:
        """Compiles all that the cases need, in parallel.

        What does not compile is left for ``check`` to report.

        Raises:
            BackendError: the cases use no file of the folder of kernels.
        """
        try:
            sources = self.sources(cases)
        except BackendError:  # of a kernel that a file of the folder lacks
            return
        if self.kernels is not None:
            check_used(sources, self.kernels)
        with suppress(BackendError):
            self.devices[0].compile_all(sources)

    def sources(self, cases: Sequence[Case]) -> tuple[KernelSource, ...]:
        """What has to be compiled for the cases."""

        def run_all(planner: KernelBackend) -> None:
            for case in cases:
                run(case, planner)

        return self.backend(self.devices[0]).dry_run(run_all).sources

    def own_kernels(self, case: Case) -> frozenset[tuple[str, str]]:
        """What the case launches from the folder's files: pairs of file and kernel."""
        if self.kernels is None:
            return frozenset()
        # With our own files, because the user's may lack a kernel.
        planned = dry_run(partial(run, case), self.devices[0].machine)
        launched = {(kernel.source.file, kernel.name) for kernel in planned.launches}
        return frozenset(each for each in launched if (self.kernels / each[0]).is_file())

    def check_all(self, cases: Sequence[Case]) -> Iterator[Finding]:
        """Compiles all that the cases need, and checks them one after the other.

        Once a case has taken too long, the other cases of its operation are left out: each would
        take as long again.

        Raises:
            BackendError: the cases use no file of the folder.
        """
        self.compile(cases)
        late: set[str] = set()
        for case in cases:
            if case.kind.operation in late:
                continue
            finding = self.check(case, expect(case))
            if finding.complaint and finding.seconds >= TIME_LIMIT:
                late.add(case.kind.operation)
            yield finding

    def check(self, case: Case, expected: Expected) -> Finding:
        """Checks that the case's outcome is right, and the same under every schedule."""
        start = time.perf_counter()
        worst, complaint = float("inf"), ""
        try:
            outcomes = [run(case, self.backend(device)) for device in self.devices]
        except BackendError as error:
            complaint = str(error)
        seconds = time.perf_counter() - start
        if not complaint:
            worst = max(expected.worst(outcome) for outcome in outcomes)
            complaints = (expected.complaint(outcome) for outcome in outcomes)
            complaint = next(filter(None, complaints), "")
            difference = "" if complaint else _difference(outcomes)
            if difference or not worst < float("inf"):
                complaint = f"{complaint or difference}; {self._advice(case)}"
        return Finding(case, self.mode, worst, complaint, seconds)

    def _advice(self, case: Case) -> str:
        """How to find the cause of an error that no rounding explains."""
        if self.mode == "race":
            return "no race was found, so look at indices and at what is read before it is written"
        command = f"gpucnn kernels check --mode race --operation {case.kind.operation}"
        if self.kernels is not None:
            command += f" --kernels {shown(self.kernels)}"
        if self.mode == "ptx":
            return f"if the race mode finds nothing, look at inline assembly: {command}"
        return f"the race mode reports the line: {command}"

    def backend(self, device: Device) -> KernelBackend:
        """A backend on one of the devices."""
        backend = KernelBackend(device)
        backend.kernels = self.kernels
        return backend


def _devices(mode: str, ordinal: int, machine: Machine, jitter: bool) -> tuple[Device, ...]:
    if mode == "cuda":
        from gpucnn.backends.devices.cuda.device import CudaDevice

        return (CudaDevice(ordinal),)
    from gpucnn.backends.devices.emulator_device import EmulatorDevice

    first = EmulatorDevice(mode, time_limit=TIME_LIMIT, machine=machine, jitter=jitter)
    if mode != "fast":
        return (first,)
    other = EmulatorDevice(mode, 12345, workers=1, time_limit=TIME_LIMIT, machine=machine)
    return first, other


def run(case: Case, backend: KernelBackend) -> Outcome:
    """The case's outcome, with the variant, the tile and the length of slices that it names."""
    with backend.held_to(case.variant, case.tile, case.shortest_slice):
        return case.run(backend)


def _difference(outcomes: Sequence[Outcome]) -> str:
    """Which result depends on the schedule, in words; empty if none does."""
    first = outcomes[0]
    for other in outcomes[1:]:
        for name, array in other.items():
            if array.tobytes() != first[name].tobytes():
                return f"{name} depends on the order in which threads and blocks run"
    return ""
