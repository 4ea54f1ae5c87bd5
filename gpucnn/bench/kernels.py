"""Timing single operations, every variant of ours and PyTorch's, against the device's ceilings."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from itertools import chain, cycle
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.base import Backend
from gpucnn.backends.devices.source import KernelSource, check_used
from gpucnn.backends.dry_run import dry_run
from gpucnn.backends.interface.arrays import Array
from gpucnn.backends.kernel_backend import KernelBackend
from gpucnn.bench.ceilings import Ceilings
from gpucnn.bench.device_clock import cuda_device
from gpucnn.bench.load import Load, LoadMeter, why_mostly_busy
from gpucnn.bench.measurement import Failure, Measurement
from gpucnn.bench.problems import Problem
from gpucnn.bench.timing import Clock, Run, Timing, time_in_turns
from gpucnn.bench.torch_device import MEMORY_FORMATS, TorchDevice
from gpucnn.environment import describe
from gpucnn.errors import BackendError, did_you_mean
from gpucnn.launch.machine import Machine
from gpucnn.launch.variants import Variant
from gpucnn.progress import progress

_CACHES = 3
"""How many times over the input sets fill a GPU's cache."""
_MOST_SETS = 64
_TARGET = 1e-3
"""Seconds between two readings of the clock."""
_MOST_RUNS = 200
_FEWEST_REPETITIONS = 3
_CACHED = 4
"""Data up to this multiple of the size of a CPU's caches may be in them in part."""
_LAUNCH_LIMIT = 10.0
"""Seconds that a launch may take, at least, on a device that can end one; and then the rest of its
operation is left out."""
_SLOWEST = 1000
"""And so many times as long as the ceilings allow."""

_T = TypeVar("_T")


class KernelBenchmark:
    """Measures problems on a backend.

    Args:
        backend: ours.
        clock: what measures.
        ceilings: measures the device's; this is done before and after all problems, as a device may
            be slower when it is warm. What an operation reaches raises them.
        torch: PyTorch on the same device; None to run alone.
        repetitions: that count, of each contestant.
        budget: seconds for all repetitions of a contestant; a slow one has fewer of them.
        time_limit: seconds after which no further problem is begun; None for none.

    Attributes:
        failures: what could not be measured, in order.
        ceilings: the device's, as far as they are known.
        load: what else ran while problems were measured; None before that.
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
        self, problems: Sequence[Problem], variants: Sequence[str] = ()
    ) -> dict[Problem, set[str]]:
        """The problems that launch files of the backend's own folder of kernels, and which files.

        Raises:
            BackendError: none does.
        """
        backend = self.backend
        assert isinstance(backend, KernelBackend) and backend.kernels is not None
        machine, folder = backend.device.machine, backend.kernels
        sources = {each: self._sources(machine, each, variants) for each in problems}
        check_used(chain.from_iterable(sources.values()), folder)
        own = {
            problem: {source.file for source in used if (folder / source.file).is_file()}
            for problem, used in sources.items()
        }
        return {problem: files for problem, files in own.items() if files}

    def _sources(
        self, machine: Machine, problem: Problem, variants: Sequence[str]
    ) -> tuple[KernelSource, ...]:
        """What a problem has compiled, of our own kernels."""

        def run(planner: KernelBackend) -> None:
            arrays = [planner.empty(shape) for shape in problem.input_shapes()]
            run_in_variants(planner, problem, arrays, self._wanted(problem, variants))

        return dry_run(run, machine).sources

    def measure_all(
        self,
        problems: Sequence[Problem],
        variants: Sequence[str] = (),
        after_each: Callable[[Sequence[Measurement]], object] = lambda _: None,
    ) -> list[Measurement]:
        """Compiles what the problems need, then measures one after the other, while there is time.

        What fails is kept in ``failures``, and the next is measured.

        Args:
            problems: what to time.
            variants: only these; none for all.
            after_each: called after each problem with all that was measured so far.

        Raises:
            BackendError: no problem can be done by such a variant.
        """
        known = {name for problem in problems for name in self.variants(problem)} - {""}
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
            for problem in problems:
                spent = time.monotonic() - begin
                begun = measured or self.failures
                if begun and self.time_limit is not None and spent > self.time_limit:
                    break
                failed = len(self.failures)
                new = self.measure(problem, variants)
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
        """Why the times mean little; empty if they do mean something."""
        if self.load is None:
            return ""
        timings = [timing for one in measurements for timing in (one.ours, *one.torch)]
        # A GPU's own times do not depend on what the host does besides.
        load = self.load if cuda_device(self.backend) is None else Load(None, self.load.cores)
        return why_mostly_busy(load, timings)

    def _answers(self) -> bool:
        """Whether the device goes on after a failure: a GPU does not."""
        try:
            self.backend.synchronise()
        except BackendError:
            return False
        return True

    @cached_property
    def _environment(self) -> dict[str, object]:
        return describe(self.backend)

    def as_json(self, measurements: Sequence[Measurement]) -> dict[str, object]:
        """What was measured, and on what."""
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

    def measure(self, problem: Problem, variants: Sequence[str] = ()) -> list[Measurement]:
        """Times all variants that can do the problem, and PyTorch, in turns.

        A variant that fails is left out, and noted in ``failures``.

        Args:
            problem: what to time.
            variants: only these; none for all.
        """
        wanted = self._wanted(problem, variants)
        if not wanted:
            return []
        # Drawn once: on the host that takes longer than all that is measured.
        arrays = problem.draw()
        self._limit_launches(problem)
        ours = self._attempt(problem, "", lambda: self._ours(problem, wanted, arrays)) or {}
        ours = {name: run for name, run in ours.items() if self._works(problem, name, run)}
        if not ours:
            return []
        theirs = self._theirs(problem, arrays)
        for run in theirs.values():
            run()
        measured = self._attempt(problem, "", lambda: self._time({**ours, **theirs})) or []
        if not measured:
            return []
        timings = {timing.name: timing for timing in measured}
        torch = tuple(timings[name] for name in theirs)
        return [
            Measurement(
                problem,
                name,
                name == self.variants(problem)[0],
                timings[name],
                torch,
                self.ceilings,
                self._is_cached(problem),
            )
            for name in ours
        ]

    def _works(self, problem: Problem, variant: str, run: Run) -> bool:
        """Whether the first run of a variant comes to its end."""

        def finish() -> bool:
            run()
            self.backend.synchronise()
            return True

        return bool(self._attempt(problem, variant, finish))

    def _attempt(self, problem: Problem, variant: str, do: Callable[[], _T]) -> _T | None:
        """What it gives; None where it fails, of which is taken note."""
        start = time.monotonic()
        try:
            return do()
        except BackendError as error:
            self.failures.append(Failure(problem, variant, str(error)))
            if time.monotonic() - start >= _LAUNCH_LIMIT:
                self._late.add((problem.operation, variant))
            return None

    def _limit_launches(self, problem: Problem) -> None:
        """Lets a launch take many times as long as the slowest of kernels needs."""
        if isinstance(self.backend, KernelBackend):
            least = self.ceilings.seconds(problem.flops, problem.traffic)
            self.backend.device.time_limit = _LAUNCH_LIMIT + _SLOWEST * least

    def variants(self, problem: Problem) -> tuple[str, ...]:
        """The variants that can do the problem on this backend, its own choice first."""
        if isinstance(self.backend, KernelBackend):
            return tuple(str(variant) for variant in problem.variants) or ("",)
        return ("",)

    def _wanted(self, problem: Problem, variants: Sequence[str]) -> list[str]:
        return [
            name
            for name in self.variants(problem)
            if (not variants or name in variants) and (problem.operation, name) not in self._late
        ]

    def _run_all(
        self, planner: Backend, problems: Sequence[Problem], variants: Sequence[str]
    ) -> None:
        """These variants of every problem once, on a backend that only takes note."""
        for problem in problems:
            arrays = [planner.empty(shape) for shape in problem.input_shapes()]
            with suppress(BackendError):  # of a kernel that a file of the user's lacks
                if self._sets(problem) > 1:
                    _copy(planner, arrays)
                run_in_variants(planner, problem, arrays, self._wanted(problem, variants))

    def _ours(
        self, problem: Problem, variants: Sequence[str], arrays: Sequence[NDArray[np.float32]]
    ) -> dict[str, Run]:
        """Each variant, over the same sets of inputs; all but the first are made on the device."""
        backend = self.backend
        first = [backend.asarray(array) for array in arrays]
        sets = [first, *(_copy(backend, first) for _ in range(self._sets(problem) - 1))]
        return {
            name: _with_variant(
                backend, name, _rotating([problem.ours(backend, inputs) for inputs in sets])
            )
            for name in variants
        }

    def _theirs(self, problem: Problem, arrays: Sequence[NDArray[np.float32]]) -> dict[str, Run]:
        """PyTorch in both memory formats, where there are images."""
        torch = self.torch
        if torch is None:
            return {}
        there = [torch.upload(array) for array in arrays]
        has_images = any(array.ndim == 4 for array in arrays)
        runs: dict[str, Run] = {}
        for memory_format in MEMORY_FORMATS if has_images else MEMORY_FORMATS[:1]:
            first = [torch.in_format(tensor, memory_format) for tensor in there]
            copies = ([t.clone() for t in first] for _ in range(self._sets(problem) - 1))
            runs[f"torch, {memory_format}"] = _rotating(
                [problem.theirs(torch.torch, tensors) for tensors in (first, *copies)]
            )
        return runs

    def _sets(self, problem: Problem) -> int:
        """How many sets of inputs and results are used in rotation."""
        if not isinstance(self.backend, KernelBackend):
            return 1
        cache = self.backend.device.machine.cache_bytes
        wanted = math.ceil(_CACHES * cache / problem.traffic)
        return max(1, min(wanted, _MOST_SETS))

    def _is_cached(self, problem: Problem) -> bool:
        """Whether the caches may hold the data of all sets from one run to the next."""
        if not self.ceilings.cached_bandwidth:
            return False
        factor = _CACHES if isinstance(self.backend, KernelBackend) else _CACHED
        return self._sets(problem) * problem.traffic < factor * self.ceilings.cache_bytes

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


def run_in_variants(
    backend: Backend, problem: Problem, arrays: Sequence[Array], variants: Sequence[str]
) -> None:
    """Runs a problem once by each of these variants, on inputs of its shapes; "" is any."""
    for variant in variants:
        _with_variant(backend, variant, problem.ours(backend, arrays))()


def _copy(backend: Backend, arrays: Sequence[Array]) -> list[Array]:
    """Arrays of the same numbers: CuPy's own way to copy would first compile a kernel."""
    return [backend.add(array, backend.zeros(array.shape)) for array in arrays]


def _with_variant(backend: Backend, variant: str, run: Run) -> Run:
    """A run by this variant of the kernels; "" leaves the choice to the backend."""
    if not variant or not isinstance(backend, KernelBackend):
        return run
    held = backend.held_to(Variant(variant))

    def run_variant() -> object:
        with held:
            return run()

    return run_variant


def _rotating(runs: Sequence[Run]) -> Callable[[], None]:
    """Runs in a circle; as many results are kept, so that each has a place of its own."""
    turn = cycle(runs)
    results: deque[object] = deque(maxlen=len(runs))

    def run() -> None:
        results.append(next(turn)())

    return run
