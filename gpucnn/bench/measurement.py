"""What was measured of a kernel, or why it could not be."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from gpucnn.bench.ceilings import Ceilings
from gpucnn.bench.timing import Timing
from gpucnn.operations import Timed


@dataclass(frozen=True)
class Measurement:
    """One variant of one problem.

    Attributes:
        timed: what was timed.
        variant: of the kernels; empty if the operation has only one.
        is_chosen: whether the backend chooses this variant by itself.
        ours: our time.
        torch: PyTorch's, in each memory format that makes a difference; empty without PyTorch.
        ceilings: the device's.
        is_cached: whether the caches hold the inputs and results from one run to the next.
    """

    timed: Timed
    variant: str
    is_chosen: bool
    ours: Timing
    torch: tuple[Timing, ...]
    ceilings: Ceilings
    is_cached: bool = False

    @property
    def flop_rate(self) -> float:
        """Operations a second."""
        return self.timed.problem.flops / (self.ours.median / 1e3)

    @property
    def flop_rate_a_core(self) -> float | None:
        """Operations a second for each of the CPU's cores; None on a GPU."""
        cores = self.ceilings.cores
        return self.flop_rate / cores if cores else None

    @property
    def byte_rate(self) -> float:
        """Bytes a second, counting those that have to be moved."""
        return self.timed.problem.traffic / (self.ours.median / 1e3)

    @property
    def share(self) -> float:
        """The rate as a share of what the ceilings allow: 1 is as fast as the device can be."""
        problem = self.timed.problem
        least = self.ceilings.seconds(problem.flops, problem.traffic, self.is_cached)
        return least / (self.ours.median / 1e3)

    def within(self, ceilings: Ceilings) -> Ceilings:
        """These ceilings, or higher ones if this or, on a CPU, PyTorch has reached more.

        On a GPU, PyTorch is left out: cuDNN has algorithms with fewer operations than are counted.
        """
        theirs = self.torch if ceilings.cores else ()
        fastest = min(one.median for one in (self.ours, *theirs)) / 1e3
        flops, traffic = self.timed.problem.flops / fastest, self.timed.problem.traffic / fastest
        return ceilings.reached(flops, traffic, self.is_cached)

    @property
    def best_torch(self) -> Timing | None:
        """PyTorch's faster memory format."""
        return min(self.torch, key=lambda timing: timing.median, default=None)

    @property
    def ratio(self) -> float | None:
        """Our time over PyTorch's best: below 1 we are faster."""
        best = self.best_torch
        return None if best is None else self.ours.median / best.median

    def as_json(self) -> dict[str, object]:
        """All of it, times in milliseconds."""
        best, a_core = self.best_torch, self.flop_rate_a_core
        return {
            "problem": self.timed.name,
            "operation": self.timed.problem.operation,
            "shape": self.timed.problem.text,
            "variant": self.variant,
            "chosen": self.is_chosen,
            "flops": self.timed.problem.flops,
            "traffic_bytes": self.timed.problem.traffic,
            "ours": asdict(self.ours),
            "tflops": self.flop_rate / 1e12,
            "gflops_a_core": None if a_core is None else a_core / 1e9,
            "gb_per_second": self.byte_rate / 1e9,
            "share_of_ceiling": self.share,
            "cached": self.is_cached,
            "torch": {timing.name: asdict(timing) for timing in self.torch},
            "torch_best": None if best is None else best.name,
            "ratio": self.ratio,
        }


@dataclass(frozen=True)
class Failure:
    """One variant of one problem that could not be measured.

    Attributes:
        timed: what failed.
        variant: of the kernels; empty if the operation has only one, or if all failed.
        message: why.
    """

    timed: Timed
    variant: str
    message: str

    def __str__(self) -> str:
        """The problem, operation and variant."""
        problem = self.timed.problem
        words = f"{problem.operation} {self.variant}".rstrip()
        return f"{self.timed.name}: {problem.text}, {words}"

    def as_json(self) -> dict[str, str]:
        """All of it."""
        return {
            "problem": self.timed.name,
            "operation": self.timed.problem.operation,
            "shape": self.timed.problem.text,
            "variant": self.variant,
            "error": self.message,
        }
