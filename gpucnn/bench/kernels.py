"""Timing single operations, every variant of ours and PyTorch's, against the device's ceilings."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from gpucnn.backends.base import Backend
from gpucnn.backends.devices.planner import PlanningDevice
from gpucnn.backends.devices.source import check_used
from gpucnn.backends.interface.arrays import Array
from gpucnn.backends.kernel_backend import KernelBackend
from gpucnn.backends.variants import Variant
from gpucnn.bench.ceilings import Ceilings
from gpucnn.bench.problems import Problem
from gpucnn.bench.timing import Clock, Run, Timing, time_in_turns
from gpucnn.bench.torch_device import MEMORY_FORMATS, TorchDevice
from gpucnn.environment import describe
from gpucnn.errors import BackendError, did_you_mean

_CACHES = 3
"""How many times over the input sets fill a GPU's cache."""
_MOST_SETS = 64
_TARGET = 1e-3
"""Seconds between two readings of the clock."""
_MOST_RUNS = 200
_FEWEST_REPETITIONS = 3


@dataclass(frozen=True)
class Measurement:
    """One variant of one problem.

    Attributes:
        problem: what was timed.
        variant: whose kernels; empty where the operation has only one.
        is_chosen: whether the backend takes this variant by itself.
        ours: our time.
        torch: PyTorch's, in each memory format that makes a difference; empty without PyTorch.
        ceilings: the device's.
    """

    problem: Problem
    variant: str
    is_chosen: bool
    ours: Timing
    torch: tuple[Timing, ...]
    ceilings: Ceilings

    @property
    def flop_rate(self) -> float:
        """Operations a second."""
        return self.problem.flops / (self.ours.median / 1e3)

    @property
    def flop_rate_a_core(self) -> float | None:
        """The same of each of the CPU's cores; None on a GPU."""
        cores = self.ceilings.cores
        return self.flop_rate / cores if cores else None

    @property
    def byte_rate(self) -> float:
        """Bytes a second, of those that have to be moved."""
        return self.problem.traffic / (self.ours.median / 1e3)

    @property
    def share(self) -> float:
        """Of the rate that the ceilings allow: 1 is as fast as the device can be."""
        least = self.ceilings.seconds(self.problem.flops, self.problem.traffic)
        return least / (self.ours.median / 1e3)

    @property
    def best_torch(self) -> Timing | None:
        """PyTorch's faster memory format."""
        return min(self.torch, key=lambda timing: timing.median, default=None)

    @property
    def ratio(self) -> float | None:
        """Our time over PyTorch's best: below 1 we are faster."""
        best = self.best_torch
        return None if best is None else self.ours.median / best.median

    def as_json(self) -> dict[str, Any]:
        """All of it, times in milliseconds."""
        best, a_core = self.best_torch, self.flop_rate_a_core
        return {
            "problem": self.problem.name,
            "operation": self.problem.operation,
            "shape": self.problem.shape_text,
            "variant": self.variant,
            "chosen": self.is_chosen,
            "flops": self.problem.flops,
            "traffic_bytes": self.problem.traffic,
            "ours": asdict(self.ours),
            "tflops": self.flop_rate / 1e12,
            "gflops_a_core": None if a_core is None else a_core / 1e9,
            "gb_per_second": self.byte_rate / 1e9,
            "share_of_ceiling": self.share,
            "torch": {timing.name: asdict(timing) for timing in self.torch},
            "torch_best": None if best is None else best.name,
            "ratio": self.ratio,
        }


class KernelBenchmark:
    """Measures problems on a backend.

    Args:
        backend: ours.
        clock: what measures.
        ceilings: the device's.
        torch: PyTorch on the same device; None to run alone.
        repetitions: that count, of each contestant.
        budget: seconds for all repetitions of a contestant; a slow one has fewer of them.
        time_limit: seconds after which no further problem is begun; None for none.
    """

    def __init__(
        self,
        backend: Backend,
        clock: Clock,
        ceilings: Ceilings,
        torch: TorchDevice | None = None,
        repetitions: int = 20,
        budget: float = 0.5,
        time_limit: float | None = None,
    ) -> None:
        self.backend = backend
        self.clock = clock
        self.ceilings = ceilings
        self.torch = torch
        self.repetitions = repetitions
        self.budget = budget
        self.time_limit = time_limit

    def measure_all(
        self,
        problems: Sequence[Problem],
        variants: Sequence[str] = (),
        after_each: Callable[[Sequence[Measurement]], object] = lambda _: None,
    ) -> list[Measurement]:
        """Compiles what the problems need, then measures one after the other, while there is time.

        Args:
            problems: what to time.
            variants: only these; none for all.
            after_each: called after each problem with all that was measured so far.

        Raises:
            BackendError: no problem can be done by such a variant, or none launches a kernel of
                the backend's own folder of them.
        """
        known = {name for problem in problems for name in self.variants(problem)} - {""}
        for variant in variants:
            if variant not in known:
                raise BackendError(
                    f'none of these problems has a variant "{variant}"; '
                    + (did_you_mean(variant, known) if known else "they have one kernel each")
                )
        begin = time.monotonic()
        self.backend.compile_ahead(lambda planner: self._run_all(planner, problems, variants))
        measured: list[Measurement] = []
        for problem in tqdm(problems, "measuring", leave=False, disable=None):
            spent = time.monotonic() - begin
            if measured and self.time_limit is not None and spent > self.time_limit:
                break
            measured += self.measure(problem, variants)
            after_each(measured)
        return measured

    @cached_property
    def _environment(self) -> dict[str, Any]:
        return describe(self.backend)

    def as_json(self, measurements: Sequence[Measurement]) -> dict[str, Any]:
        """What was measured, and on what."""
        return {
            "environment": self._environment,
            "torch": None if self.torch is None else self.torch.version,
            "torch_device": None if self.torch is None else self.torch.name,
            "ceilings": {
                "gb_per_second": self.ceilings.bandwidth / 1e9,
                "tflops": self.ceilings.arithmetic / 1e12,
                "cores": self.ceilings.cores or None,
            },
            "measurements": [measurement.as_json() for measurement in measurements],
        }

    def measure(self, problem: Problem, variants: Sequence[str] = ()) -> list[Measurement]:
        """Times all variants that can do the problem, and PyTorch, in turns.

        Args:
            problem: what to time.
            variants: only these; none for all.
        """
        wanted = self._wanted(problem, variants)
        if not wanted:
            return []
        # Drawn once: on the host that takes longer than all that is measured.
        arrays = problem.inputs()
        ours = self._ours(problem, wanted, arrays)
        theirs = self._theirs(problem, arrays)
        timings = {timing.name: timing for timing in self._time({**ours, **theirs})}
        torch = tuple(timings[name] for name in theirs)
        return [
            Measurement(
                problem,
                name,
                name == self.variants(problem)[0],
                timings[name],
                torch,
                self.ceilings,
            )
            for name in ours
        ]

    def variants(self, problem: Problem) -> tuple[str, ...]:
        """The variants that can do the problem on this backend, its own choice first."""
        if isinstance(self.backend, KernelBackend):
            return tuple(str(variant) for variant in problem.variants) or ("",)
        return ("",)

    def _wanted(self, problem: Problem, variants: Sequence[str]) -> list[str]:
        return [name for name in self.variants(problem) if not variants or name in variants]

    def _run_all(
        self, planner: Backend, problems: Sequence[Problem], variants: Sequence[str]
    ) -> None:
        """These variants of every problem once, on a backend that only takes note."""
        for problem in problems:
            arrays = [planner.empty(shape) for shape in problem.input_shapes()]
            if self._sets(problem) > 1:
                _copy(planner, arrays)
            for name in self._wanted(problem, variants):
                _with_variant(planner, name, problem.ours(planner, arrays))()
        if isinstance(planner, KernelBackend) and planner.kernels is not None:
            assert isinstance(planner.device, PlanningDevice)
            check_used(planner.device.sources, planner.kernels)

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
                [problem.torch(torch.torch, tensors) for tensors in (first, *copies)]
            )
        return runs

    def _sets(self, problem: Problem) -> int:
        """How many sets of inputs and results are used in rotation."""
        if not isinstance(self.backend, KernelBackend):
            return 1
        cache = self.backend.device.limits.cache_bytes
        wanted = math.ceil(_CACHES * cache / problem.traffic)
        return max(1, min(wanted, _MOST_SETS))

    def _time(self, contestants: dict[str, Run]) -> list[Timing]:
        once = {}
        for name, run in contestants.items():
            run()
            once[name] = max(self.clock.seconds(run), 1e-7)
        times = {
            name: max(1, min(_MOST_RUNS, math.ceil(_TARGET / seconds)))
            for name, seconds in once.items()
        }
        slowest = max(seconds * times[name] for name, seconds in once.items())
        repetitions = max(_FEWEST_REPETITIONS, min(self.repetitions, int(self.budget / slowest)))
        return time_in_turns(contestants, self.clock, repetitions, warm_up=1, times=times)


def _copy(backend: Backend, arrays: Sequence[Array]) -> list[Array]:
    """Arrays of the same numbers: CuPy's own way to copy would first compile a kernel."""
    return [backend.add(array, backend.zeros(array.shape)) for array in arrays]


def _with_variant(backend: Backend, variant: str, run: Run) -> Run:
    """A run by this variant of the kernels; "" leaves the choice to the backend."""
    if not variant or not isinstance(backend, KernelBackend):
        return run
    wanted = Variant(variant)

    def run_variant() -> object:
        backend.variant = wanted
        try:
            return run()
        finally:
            backend.variant = None

    return run_variant


def _rotating(runs: Sequence[Run]) -> Callable[[], None]:
    """Runs in a circle; as many results are kept, so that each has a place of its own."""
    turn = cycle(runs)
    results: deque[object] = deque(maxlen=len(runs))

    def run() -> None:
        results.append(next(turn)())

    return run
