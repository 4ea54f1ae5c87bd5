"""What was measured of kernels, as a table for people."""

from __future__ import annotations

from collections.abc import Sequence

from gpucnn.bench.kernels import KernelBenchmark
from gpucnn.bench.measurement import Failure, Measurement
from gpucnn.launch import variants_of

_LAYOUTS = {"contiguous": "NCHW", "channels_last": "NHWC"}
"""PyTorch's memory formats, as the order of the axes."""


def table_of(
    measurements: Sequence[Measurement], failures: Sequence[Failure] = ()
) -> tuple[Sequence[str], list[tuple[str, list[str]]]]:
    """Column titles, and rows with the names of their problems; PyTorch's columns only if it ran.

    If there are several variants, a star marks the one that the backend chooses by itself.
    """
    header = ["operation", "median", "spread", measurements[0].ceilings.unit[0], "GB/s", "ceiling"]
    if any(one.torch for one in measurements):
        header += ["torch", "layout", "ratio"]
    if any(one.best_tf32 for one in measurements):
        header += ["in TF32", "layout", "ratio"]
    rows = [(one.timed.name, _row(one)) for one in measurements]
    for _, row in rows:
        row += [""] * (len(header) - len(row))
    rows += [(failure.timed.name, _failed(failure, len(header))) for failure in failures]
    order = list(dict.fromkeys(name for name, _ in rows))
    return header, sorted(rows, key=lambda row: order.index(row[0]))


def legend(measurements: Sequence[Measurement]) -> str:
    """What the columns mean."""
    text = (
        "spread: between the quartiles, over the median; ceiling: of the rate that the device "
        "allows"
    )
    if any(one.is_cached for one in measurements):
        text += "; c: of the rate that its caches allow, for they may hold the data"
    text += "; *: the variant that is chosen"
    if any(one.torch for one in measurements):
        text += "; torch: in true FP32 and its faster layout; ratio: ours / torch"
    if any(one.best_tf32 for one in measurements):
        text += "; in TF32: convolutions in PyTorch as it computes them by itself on this GPU"
    return text


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
    _, unit = one.ceilings.unit
    star = "*" if one.variant and one.is_chosen and len(variants_of(one.timed.problem)) > 1 else ""
    row = [
        f"{one.timed.problem.operation} {one.variant}{star}".rstrip(),
        duration(one.ours.median),
        f"{one.ours.spread:.0%}",
        f"{one.flop_rate / unit:.3g}",
        f"{one.byte_rate / 1e9:.3g}",
        f"{one.share:.0%}{' c' if one.is_cached else ''}",
    ]
    for best, ratio in ((one.best_torch, one.ratio), (one.best_tf32, one.tf32_ratio)):
        if best is not None:
            layout = best.name.split(", ")[1]
            row += [duration(best.median), _LAYOUTS[layout], f"{ratio:.2f}"]
    return row


def _failed(failure: Failure, columns: int) -> list[str]:
    operation = f"{failure.timed.problem.operation} {failure.variant}".rstrip()
    return [operation, "failed"] + [""] * (columns - 2)
