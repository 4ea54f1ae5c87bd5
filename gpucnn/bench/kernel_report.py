"""What was measured of kernels, as a table for people."""

from __future__ import annotations

from collections.abc import Sequence

from gpucnn.bench.kernels import KernelBenchmark, Measurement


def table_of(
    measurements: Sequence[Measurement],
) -> tuple[Sequence[str], list[list[str]], Sequence[int]]:
    """Titles, rows, and the columns that stand to the left; PyTorch's only if it ran.

    A star is at the variant that the backend takes by itself, where there are several.
    """
    unit, _ = measurements[0].ceilings.unit
    a_core = ["a core"] if measurements[0].ceilings.cores else []
    header = ["problem", "operation", "variant", "median", "quartiles", "", unit, *a_core, "GB/s",
              "of ceiling"]  # fmt: skip
    left = (0, 1, 2, len(header) + 1)
    if any(one.torch for one in measurements):
        header += ["torch", "format", "ours / torch"]
    return header, [_row(measurement) for measurement in measurements], left


def footer(benchmark: KernelBenchmark) -> str:
    """One line: the ceilings, and which PyTorch ran where."""
    text, torch = f"{benchmark.backend.name}: {benchmark.ceilings.text}", benchmark.torch
    return text if torch is None else f"{text}; torch {torch.version} on {torch.name}"


def duration(milliseconds: float) -> str:
    """Such as "12.3 µs" or "1.23 ms"."""
    if milliseconds < 1.0:
        return f"{1e3 * milliseconds:.3g} µs"
    return f"{milliseconds:.3g} ms" if milliseconds < 1e3 else f"{milliseconds / 1e3:.3g} s"


def _row(one: Measurement) -> list[str]:
    best, (_, unit), a_core = one.best_torch, one.ceilings.unit, one.flop_rate_a_core
    several = len(one.problem.variants) > 1
    row = [
        one.problem.name,
        one.problem.operation,
        f"{one.variant}*" if one.variant and one.is_chosen and several else one.variant,
        *map(duration, (one.ours.median, one.ours.low, one.ours.high)),
        f"{one.flop_rate / unit:.3g}",
        *([] if a_core is None else [f"{a_core / unit:.3g}"]),
        f"{one.byte_rate / 1e9:.3g}",
        f"{one.share:.0%}",
    ]
    if best is not None:
        row += [duration(best.median), best.name.removeprefix("torch, "), f"{one.ratio:.2f}"]
    return row
