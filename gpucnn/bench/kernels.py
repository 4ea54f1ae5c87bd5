"""Timing single operations, every variant of ours and PyTorch's, against the device's ceilings."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from itertools import chain
from typing import TypeVar

from gpucnn.backends.base import Backend
from gpucnn.backends.devices.source import KernelSource, check_used
from gpucnn.backends.dry_run import dry_run
from gpucnn.backends.kernel_backend import KernelBackend
from gpucnn.bench.ceilings import Ceilings
from gpucnn.bench.contestants import (
    copied,
    draw_inputs,
    input_shapes,
    our_runs,
    run_in_variants,
    torch_runs,
)
from gpucnn.bench.device_clock import cuda_device
from gpucnn.bench.load import Load, LoadMeter, why_mostly_busy
from gpucnn.bench.measurement import Failure, Measurement
from gpucnn.bench.timing import Clock, Run, Timing, time_in_turns
from gpucnn.bench.torch_device import TorchDevice
from gpucnn.environment import describe
from gpucnn.errors import BackendError, did_you_mean
from gpucnn.launch import variants_of
from gpucnn.launch.machine import Machine
from gpucnn.operations import Timed
from gpucnn.progress import progress

_CACHES = 3
"""How many times over the sets of inputs fill a GPU's cache."""
_MOST_SETS = 64
_TARGET = 1e-3
"""Seconds between two readings of the clock."""
_MOST_RUNS = 200
_FEWEST_REPETITIONS = 3
_CACHED = 4
"""Up to this multiple of the size of a CPU's caches, some of the data may be in them."""
_LAUNCH_LIMIT = 10.0
"""Seconds that a launch may always take on a device that can end one; if it takes longer, the rest
of its operation is left out."""
_SLOWEST = 1000
"""A launch may take this multiple of the least time that the ceilings allow, in addition."""

_T = TypeVar("_T")


class KernelBenchmark:
    """Measures problems on a backend.

    Args:
        backend: ours.
        clock: what measures.
        ceilings: measures the device's, before and after all problems, because a device may be
            slower when it is warm. They are raised to what an operation reaches.
        torch: PyTorch on the same device; None to run alone.
        repetitions: of each contestant, without those to warm up.
        budget: seconds for all repetitions of a contestant; a slow one has fewer.
        time_limit: seconds after which no further problem is begun; None for none.

    Attributes:
        failures: what could not be measured, in order.
        ceilings: the device's, as far as they are known.
        load: what else ran during the measurements; None before them.
    """

    def __init__(
        self,
        backend: Backend,
        clock: Clock,
        ceilings: Callable[[], Ceilings],
        torch: TorchDevice | None = None,
        repetitions: int = 20,
        budget: float = 0.5,
        time_limit: float | None = None,
    ) -> None:
        self.backend = backend
        self.clock = clock
        self._measure_ceilings = ceilings
        self.ceilings = ceilings()
        self.load: Load | None = None
        self.torch = torch
        self.repetitions = repetitions
        self.budget = budget
        self.time_limit = time_limit
        self.failures: list[Failure] = []
        self._late: set[tuple[str, str]] = set()

    def launching_own(
        self, problems: Sequence[Timed], variants: Sequence[str] = ()
    ) -> dict[Timed, set[str]]:
        """The problems that launch files of the backend's folder of kernels, and which files.

        Raises:
            BackendError: none does.
        """
        backend = self.backend
        assert isinstance(backend, KernelBackend) and backend.kernels is not None
        machine, folder = backend.device.machine, backend.kernels
        sources = {each: self._sources(machine, each, variants) for each in problems}
        check_used(chain.from_iterable(sources.values()), folder)
        own = {
            timed: {source.file for source in used if (folder / source.file).is_file()}
            for timed, used in sources.items()
        }
        return {timed: files for timed, files in own.items() if files}

    def _sources(
        self, machine: Machine, timed: Timed, variants: Sequence[str]
    ) -> tuple[KernelSource, ...]:
        """What has to be compiled of our own kernels for a problem."""
        wanted = self._wanted(timed, variants)
        return dry_run(lambda planner: run_in_variants(planner, timed, wanted), machine).sources

    def measure_all(
        self,
        problems: Sequence[Timed],
        variants: Sequence[str] = (),
        after_each: Callable[[Sequence[Measurement]], object] = lambda _: None,
    ) -> list[Measurement]:
        """Compiles what the problems need, and measures one after the other while there is time.

        What fails is kept in ``failures``.

        Args:
            problems: what to time.
            variants: only these; none for all.
            after_each: called after each problem with all measurements so far.

        Raises:
            BackendError: no problem has such a variant.
        """
        known = {name for timed in problems for name in self.variants(timed)} - {""}
        for variant in variants:
            if variant not in known:
                raise BackendError(
                    f'none of these problems has a variant "{variant}"; '
                    + (did_you_mean(variant, known) if known else "they have one kernel each")
                )
        begin = time.monotonic()
        with suppress(BackendError):  # of what does not compile, which its problem will find
            self.backend.compile_ahead(lambda planner: self._run_all(planner, problems, variants))
        measured: list[Measurement] = []
        meter = LoadMeter()
        with progress("measuring", len(problems)) as advance:
            for timed in problems:
                spent = time.monotonic() - begin
                begun = measured or self.failures
                if begun and self.time_limit is not None and spent > self.time_limit:
                    break
                failed = len(self.failures)
                new = self.measure(timed, variants)
                for one in new:
                    self.ceilings = one.within(self.ceilings)
                measured = self._with_ceilings([*measured, *new])
                self.load = meter.read()
                after_each(measured)
                advance(1)
                if len(self.failures) > failed and not self._answers():
                    return measured
        before, self.ceilings = self.ceilings, self.ceilings.at_least(self._measure_ceilings())
        measured = self._with_ceilings(measured)
        if self.ceilings != before:
            after_each(measured)
        return measured

    def _with_ceilings(self, measured: Sequence[Measurement]) -> list[Measurement]:
        return [replace(one, ceilings=self.ceilings) for one in measured]

    def why_busy(self, measurements: Sequence[Measurement]) -> str:
        """Why the times mean little; empty if they can be relied on."""
        if self.load is None:
            return ""
        timings = [timing for one in measurements for timing in (one.ours, *one.torch)]
        # A GPU's own times do not depend on what else the host does.
        load = self.load if cuda_device(self.backend) is None else Load(None, self.load.cores)
        return why_mostly_busy(load, timings)

    def _answers(self) -> bool:
        """Whether the device still works after a failure; a GPU may not."""
        try:
            self.backend.synchronise()
        except BackendError:
            return False
        return True

    @cached_property
    def _environment(self) -> dict[str, object]:
        return describe(self.backend)

    def as_json(self, measurements: Sequence[Measurement]) -> dict[str, object]:
        """What was measured, and where."""
        return {
            "environment": self._environment,
            "torch": None if self.torch is None else self.torch.version,
            "torch_device": None if self.torch is None else self.torch.name,
            "ceilings": self.ceilings.as_json(),
            "load": None
            if self.load is None
            else {
                **self.load.as_json(),
                "busy": bool(why := self.why_busy(measurements)),
                "why": why,
            },
            "measurements": [measurement.as_json() for measurement in measurements],
            "failures": [failure.as_json() for failure in self.failures],
        }

    def measure(self, timed: Timed, variants: Sequence[str] = ()) -> list[Measurement]:
        """Times all variants that can do the problem, and PyTorch, in turns.

        A variant that fails is recorded in ``failures`` and left out.

        Args:
            timed: what to time.
            variants: only these; none for all.
        """
        wanted = self._wanted(timed, variants)
        if not wanted:
            return []
        # Drawn once: that takes the host longer than all measurements.
        arrays, sets = draw_inputs(timed), self._sets(timed)
        self._limit_launches(timed)
        attempted = self._attempt(
            timed, "", lambda: our_runs(timed, self.backend, arrays, wanted, sets)
        )
        ours = attempted or {}
        ours = {name: run for name, run in ours.items() if self._works(timed, name, run)}
        if not ours:
            return []
        theirs = torch_runs(timed, self.torch, arrays, sets) if self.torch else {}
        for run in theirs.values():
            run()
        measured = self._attempt(timed, "", lambda: self._time({**ours, **theirs})) or []
        if not measured:
            return []
        timings = {timing.name: timing for timing in measured}
        torch = tuple(timings[name] for name in theirs)
        return [
            Measurement(
                timed,
                name,
                name == self.variants(timed)[0],
                timings[name],
                torch,
                self.ceilings,
                self._is_cached(timed),
            )
            for name in ours
        ]

    def _works(self, timed: Timed, variant: str, run: Run) -> bool:
        """Whether the first run of a variant succeeds."""

        def finish() -> bool:
            run()
            self.backend.synchronise()
            return True

        return bool(self._attempt(timed, variant, finish))

    def _attempt(self, timed: Timed, variant: str, do: Callable[[], _T]) -> _T | None:
        """The result; None if it fails, which is recorded."""
        start = time.monotonic()
        try:
            return do()
        except BackendError as error:
            self.failures.append(Failure(timed, variant, str(error)))
            if time.monotonic() - start >= _LAUNCH_LIMIT:
                self._late.add((timed.problem.operation, variant))
            return None

    def _limit_launches(self, timed: Timed) -> None:
        """Limits the time of a launch, to many times what even a slow kernel needs."""
        if isinstance(self.backend, KernelBackend):
            least = self.ceilings.seconds(timed.problem.flops, timed.problem.traffic)
            self.backend.device.time_limit = _LAUNCH_LIMIT + _SLOWEST * least

    def variants(self, timed: Timed) -> tuple[str, ...]:
        """The variants that can do the problem on this backend, its own choice first."""
        if isinstance(self.backend, KernelBackend):
            return tuple(map(str, variants_of(timed.problem))) or ("",)
        return ("",)

    def _wanted(self, timed: Timed, variants: Sequence[str]) -> list[str]:
        return [
            name
            for name in self.variants(timed)
            if (not variants or name in variants)
            and (timed.problem.operation, name) not in self._late
        ]

    def _run_all(
        self, planner: Backend, problems: Sequence[Timed], variants: Sequence[str]
    ) -> None:
        """Runs these variants of every problem once, on a backend that only records launches."""
        for timed in problems:
            with suppress(BackendError):  # of a kernel that a file of the user's lacks
                if self._sets(timed) > 1:
                    copied(planner, [planner.empty(shape) for shape in input_shapes(timed)])
                run_in_variants(planner, timed, self._wanted(timed, variants))

    def _sets(self, timed: Timed) -> int:
        """How many sets of inputs and results are used in turn."""
        if not isinstance(self.backend, KernelBackend):
            return 1
        cache = self.backend.device.machine.cache_bytes
        wanted = math.ceil(_CACHES * cache / timed.problem.traffic)
        return max(1, min(wanted, _MOST_SETS))

    def _is_cached(self, timed: Timed) -> bool:
        """Whether the caches may keep the data of all sets from one run to the next."""
        if not self.ceilings.cached_bandwidth:
            return False
        factor = _CACHES if isinstance(self.backend, KernelBackend) else _CACHED
        return self._sets(timed) * timed.problem.traffic < factor * self.ceilings.cache_bytes

    def _time(self, contestants: dict[str, Run]) -> list[Timing]:
        once = {}
        for name, run in contestants.items():
            once[name] = max(self.clock.seconds(run), 1e-7)
        times = {
            name: max(1, min(_MOST_RUNS, math.ceil(_TARGET / seconds)))
            for name, seconds in once.items()
        }
        slowest = max(seconds * times[name] for name, seconds in once.items())
        repetitions = max(_FEWEST_REPETITIONS, min(self.repetitions, int(self.budget / slowest)))
        return time_in_turns(contestants, self.clock, repetitions, warm_up=1, times=times)
