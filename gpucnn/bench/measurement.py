"""What was measured of a kernel, or why it could not be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from gpucnn.bench.ceilings import Ceilings
from gpucnn.bench.timing import Timing
from gpucnn.bench.torch_device import TF32
from gpucnn.operations import Timed


@dataclass(frozen=True)
class Measurement:
    """One variant of one problem.

    Attributes:
        timed: what was timed.
        variant: of the kernels; empty if the operation has only one.
        is_chosen: whether the backend chooses this variant by itself.
        ours: our time.
        torch: PyTorch's, in each memory format that makes a difference, and of convolutions in
            true FP32 and in TF32 if that is its default; empty without PyTorch.
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
        """PyTorch's faster memory format, in true FP32."""
        return _fastest(one for one in self.torch if not one.name.endswith(TF32))

    @property
    def best_tf32(self) -> Timing | None:
        """PyTorch's faster memory format in TF32; None if that is not what it does by itself."""
        return _fastest(one for one in self.torch if one.name.endswith(TF32))

    @property
    def ratio(self) -> float | None:
        """Our time over PyTorch's best in true FP32: below 1 we are faster."""
        return self._ratio(self.best_torch)

    @property
    def tf32_ratio(self) -> float | None:
        """Our time over PyTorch's best in TF32."""
        return self._ratio(self.best_tf32)

    def _ratio(self, other: Timing | None) -> float | None:
        return None if other is None else self.ours.median / other.median

    def as_json(self) -> dict[str, object]:
        """All of it, times in milliseconds."""
        best, tf32, a_core = self.best_torch, self.best_tf32, self.flop_rate_a_core
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
            "torch_best_tf32": None if tf32 is None else tf32.name,
            "ratio_tf32": self.tf32_ratio,
        }


def _fastest(timings: Iterable[Timing]) -> Timing | None:
    return min(timings, key=lambda timing: timing.median, default=None)


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
