"""The roofline: what each operation reached, and the most that the device's ceilings allow."""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.base import Backend
from gpucnn.bench.ceilings import Ceilings
from gpucnn.bench.measurement import Measurement
from gpucnn.plotting import import_pyplot

_FAMILIES = tuple(kind.__module__.rpartition(".")[2] for kind in Backend.__bases__)
"""Of operations: the files of ``backends/interface/``."""
_MARKERS = "osD^vPX*<>phd8"
_SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
"""Where a label may stand beside its point; the best first."""
_FEW = 1e3
"""A range of numbers with few powers of ten."""
_MARK = 5
"""Half the width of a mark, in pixels, with a margin."""
_LARGE, _SMALL = 40, 12
"""Areas of marks, in square points."""
_TITLE = 110
"""Characters of a line above the picture."""
_SHARES = np.linspace(0.0, 1.0, 200)[:, None]
"""Of a line's length, to find places along it."""
_GAP = 10
"""Pixels from a point or a line to its label."""


def can_be_drawn(measurements: Sequence[Measurement]) -> bool:
    """Whether there is a point to draw: on an axis of logarithms there is no 0."""
    return any(one.is_chosen and one.timed.problem.flops > 0 for one in measurements)


def draw(measurements: Sequence[Measurement], ceilings: Ceilings, path: Path, title: str) -> None:
    """Draws a point for each measurement, and a ring for PyTorch's best.

    A colour is a family of operations. An operation's name is written next to the fastest of its
    points that has room for it. Small marks are operations whose data the caches may hold; for
    them the dashed roof is the limit, for the others the solid one.

    Args:
        measurements: of the backend's chosen variants, of operations that compute, at least one;
            others are left out.
        ceilings: the device's.
        path: the picture to write.
        title: above it.

    Raises:
        BackendError: matplotlib is not installed.
    """
    pyplot = import_pyplot()
    chosen = [one for one in measurements if one.is_chosen and one.timed.problem.flops > 0]
    figure, axes = pyplot.subplots(figsize=(12, 7), dpi=120, layout="constrained")
    axes.set(xscale="log", yscale="log")
    axes.set(xlabel="arithmetic intensity, FLOP/byte", ylabel=f"rate, {ceilings.unit[0]}")
    axes.set_title(textwrap.fill(title, _TITLE), fontsize=10)
    axes.grid(which="major", alpha=0.25)
    for family in _FAMILIES:
        members = [one for one in chosen if _family(one) == family]
        if members:
            _draw_points(axes, family, members)
    if any(one.torch for one in chosen):
        axes.scatter([], [], facecolors="none", edgecolors="0.3", label="PyTorch's best")
    if any(one.is_cached for one in chosen):
        axes.scatter([], [], s=_SMALL, color="0.3", linewidths=0, label="small: cached data")
    figure.legend(loc="outside right upper", fontsize=9, frameon=False)
    corners = _draw_roof(axes, chosen, ceilings)
    figure.draw_without_rendering()  # places are known from now on
    figure.set_layout_engine("none")
    labels = _Labels(axes)
    labels.keep_free(labels.pixels(_all_points(chosen)))
    _label_roof(labels, corners, ceilings)
    _label_points(labels, chosen)
    figure.savefig(path)
    pyplot.close(figure)


def _family(one: Measurement) -> str:
    kind = next(kind for kind in Backend.__mro__ if one.timed.problem.operation in vars(kind))
    return kind.__module__.rpartition(".")[2]


def _colour(family: str) -> str:
    """One of matplotlib's ten, which begin again after the last; the markers do not."""
    return f"C{_FAMILIES.index(family)}"


def _point(one: Measurement) -> tuple[float, float]:
    """Operations a byte, and the rate in the device's unit."""
    return one.timed.problem.flops / one.timed.problem.traffic, one.flop_rate / one.ceilings.unit[1]


def _all_points(measurements: Sequence[Measurement]) -> Iterator[tuple[float, float]]:
    """Ours and PyTorch's."""
    for one in measurements:
        yield _point(one)
        if theirs := _torch_rate(one):
            yield _point(one)[0], theirs


def _torch_rate(one: Measurement) -> float | None:
    """PyTorch's best in the same unit; None without PyTorch."""
    best = one.best_torch
    if best is None:
        return None
    return one.timed.problem.flops / (best.median / 1e3) / one.ceilings.unit[1]


def _draw_points(axes: Any, family: str, measurements: Sequence[Measurement]) -> None:
    """Ours filled, PyTorch's hollow, and a line between the two of one problem."""
    x, y = zip(*map(_point, measurements), strict=True)
    sizes = [_SMALL if one.is_cached else _LARGE for one in measurements]
    colour, marker = _colour(family), _MARKERS[_FAMILIES.index(family)]
    axes.scatter(x, y, s=sizes, zorder=3, linewidths=0, color=colour, marker=marker)
    axes.scatter([], [], s=_LARGE, label=family, linewidths=0, color=colour, marker=marker)
    pairs = [(*_point(one), rate, size) for one, size in zip(measurements, sizes, strict=True)
             if (rate := _torch_rate(one))]  # fmt: skip
    if pairs:
        x, ours, theirs, areas = zip(*pairs, strict=True)
        axes.vlines(x, ours, theirs, color=colour, linewidth=0.6, alpha=0.6)
        axes.scatter(
            x, theirs, s=0.8 * np.array(areas), facecolors="none", edgecolors=[colour],
            marker=marker, linewidths=0.9, zorder=2,
        )  # fmt: skip


def _draw_roof(
    axes: Any, measurements: Sequence[Measurement], ceilings: Ceilings
) -> Sequence[tuple[float, float]]:
    """Draws the ceilings; returns the three corners of the solid roof, the ridge in the middle."""
    intensities = [_point(one)[0] for one in measurements]
    ridge, size = ceilings.arithmetic / ceilings.bandwidth, ceilings.unit[1]
    left, right = min([*intensities, ridge]) / 2, max([*intensities, ridge]) * 4
    top = ceilings.arithmetic / size
    corners = (left, left * ceilings.bandwidth / size), (ridge, top), (right, top)
    axes.plot(*zip(*corners, strict=True), color="black", linewidth=1.5, zorder=2)
    for start, end in _cached_slope(ceilings, corners):
        roof = start, end, corners[1]
        axes.plot(*zip(*roof, strict=True), "--", color="black", linewidth=1.0, zorder=2)
    axes.margins(x=0.01, y=0.08)
    _label_ticks(axes)
    return corners


def _cached_slope(
    ceilings: Ceilings, corners: Sequence[tuple[float, float]]
) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Both ends of the caches' slope, from the left to the solid roof; none without one."""
    size, (left, _) = ceilings.unit[1], corners[0]
    if ceilings.cached_bandwidth <= ceilings.bandwidth:
        return []
    ridge = ceilings.arithmetic / ceilings.cached_bandwidth
    if left >= ridge:
        return []
    start = (left, left * ceilings.cached_bandwidth / size)
    return [(start, (ridge, ceilings.arithmetic / size))]


def _label_ticks(axes: Any) -> None:
    """Plain numbers, and more than one a decade where there are few decades."""
    from matplotlib.ticker import LogLocator

    for axis in (axes.xaxis, axes.yaxis):
        low, high = axis.get_view_interval()
        if high / low < _FEW:
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("")


class _Labels:
    """Writes texts that cover neither marks nor one another.

    Args:
        axes: the picture, whose layout does not change any more.
    """

    def __init__(self, axes: Any) -> None:
        self.axes = axes
        self._inside = axes.get_window_extent().padded(-_MARK)
        self._taken: list[Any] = []

    def pixels(self, points: Iterable[tuple[float, float]]) -> NDArray[np.float64]:
        """Where points of the picture are: (points, 2)."""
        return np.asarray(self.axes.transData.transform(list(points)))

    def keep_free(self, places: NDArray[np.float64]) -> None:
        """Lets no text cover a mark at any of these places, in pixels."""
        from matplotlib.transforms import Bbox

        self._taken += [Bbox([place - _MARK, place + _MARK]) for place in places]

    def write(
        self,
        text: str,
        places: NDArray[np.float64],
        sides: Sequence[tuple[int, int]],
        must: bool = False,
        **style: Any,
    ) -> None:
        """Writes a text at the first place where there is room, or not at all.

        Args:
            text: what to write.
            places: that it may stand at, in pixels, the best first.
            sides: of a place, the best first: -1, 0 or 1 along x and along y.
            must: at the first place, if there is room at none.
            style: the text's.
        """
        label = self.axes.text(0, 0, text, transform=None, ha="center", va="center", **style)
        extent = label.get_window_extent()
        reach = np.array([extent.width, extent.height]) / 2 + _GAP
        middles = [place + side * reach for place in places for side in np.array(sides)]
        inside = [middle for middle in middles if self._is_inside(extent.translated(*middle))]
        free = (m for m in inside if not extent.translated(*m).count_overlaps(self._taken))
        middle = next(free, inside[0] if must and inside else None)
        if middle is None:
            label.remove()
            return
        label.set_position(middle)
        self._taken.append(extent.translated(*middle))

    def _is_inside(self, box: Any) -> bool:
        return all(self._inside.contains(*corner) for corner in box.corners())


def _label_roof(
    labels: _Labels, corners: Sequence[tuple[float, float]], ceilings: Ceilings
) -> None:
    """Writes the ceilings above the roof, those of memory and caches along their slopes."""
    unit, size = ceilings.unit
    _, ridge, end = labels.pixels(corners)
    flat = ridge + _SHARES * (end - ridge)
    _label_slope(labels, f"memory, {ceilings.bandwidth / 1e9:.4g} GB/s", corners[:2])
    for ends in _cached_slope(ceilings, corners):
        _label_slope(labels, f"caches, {ceilings.cached_bandwidth / 1e9:.4g} GB/s", ends)
    labels.write(
        f"arithmetic, {ceilings.arithmetic / size:.3g} {unit}",
        flat[::-1] + _GAP * np.array([0, 1]), [(0, 0)], must=True, fontsize=9,
    )  # fmt: skip
    labels.keep_free(flat)


def _label_slope(labels: _Labels, text: str, ends: Sequence[tuple[float, float]]) -> None:
    start, end = labels.pixels(ends)
    slope = start + _SHARES * (end - start)
    x, y = (end - start) / np.hypot(*(end - start))
    labels.write(
        text, np.roll(slope, len(slope) // 2, axis=0) + _GAP * np.array([-y, x]), [(0, 0)],
        must=True, fontsize=9, rotation=np.degrees(np.arctan2(y, x)),
    )  # fmt: skip
    labels.keep_free(slope)


def _label_points(labels: _Labels, measurements: Sequence[Measurement]) -> None:
    operations = defaultdict(list)
    for one in sorted(measurements, key=lambda one: -one.flop_rate):
        operations[one.timed.problem.operation].append(one)
    for operation, members in operations.items():
        places = labels.pixels(map(_point, members))
        labels.write(operation, places, _SIDES, fontsize=7, color=_colour(_family(members[0])))
