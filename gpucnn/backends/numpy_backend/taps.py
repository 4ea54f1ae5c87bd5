"""The elements of a window, and which outputs and which pixels each of them joins.

Outputs whose element would be padding are left out, so that nothing needs to be padded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gpucnn.operations.geometry import Conv2dGeometry, Pair, Pool2dGeometry


@dataclass(frozen=True)
class Tap:
    """Element (r, s) of a window.

    Attributes:
        number: r·S + s.
        outputs: the outputs that have it inside the image, slices of (n, P, Q, C).
        pixels: the pixel that it is for each of them, slices of (n, H, W, C).
    """

    number: int
    outputs: tuple[slice, slice, slice]
    pixels: tuple[slice, slice, slice]


def taps(problem: Conv2dGeometry | Pool2dGeometry) -> Iterator[Tap]:
    """All taps that lie in the image for some output, in the order of r, then s."""
    dilation: Pair = problem.dilation if isinstance(problem, Conv2dGeometry) else (1, 1)
    (top, _), (left, _) = problem.padding
    whole = slice(None)
    for r in range(problem.R):
        rows = valid(r * dilation[0] - top, problem.stride[0], problem.P, problem.H)
        for s in range(problem.S):
            columns = valid(s * dilation[1] - left, problem.stride[1], problem.Q, problem.W)
            if rows is None or columns is None:
                continue
            yield Tap(
                r * problem.S + s,
                (whole, rows[0], columns[0]),
                (whole, rows[1], columns[1]),
            )


def valid(offset: int, stride: int, outputs: int, size: int) -> tuple[slice, slice] | None:
    """The outputs p with 0 ≤ p·stride + offset < size, and those positions; None if none."""
    first = max(0, -(offset // stride))
    last = min(outputs - 1, (size - 1 - offset) // stride)
    if last < first:
        return None
    start = first * stride + offset
    return slice(first, last + 1), slice(start, last * stride + offset + 1, stride)
