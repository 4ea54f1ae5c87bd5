"""The roofline: what each operation reached, under what the device's ceilings allow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gpucnn.bench.ceilings import Ceilings
from gpucnn.bench.kernels import Measurement
from gpucnn.errors import BackendError

_MARKERS = "osD^vPX*<>hp"


def import_matplotlib() -> Any:
    """matplotlib, which draws to files alone; BackendError where it is not installed."""
    try:
        import matplotlib
    except ImportError:
        raise BackendError(
            'matplotlib is not installed, so no plot can be drawn: pip install "gpucnn[plot]"'
        ) from None
    matplotlib.use("Agg")
    return matplotlib


def draw(measurements: Sequence[Measurement], ceilings: Ceilings, path: Path, title: str) -> None:
    """Draws a point for each measurement, and a ring where PyTorch's best is.

    Args:
        measurements: of the backend's chosen variants, of operations that compute; others are
            left out, for an axis of logarithms has no 0.
        ceilings: the device's.
        path: the picture to write.
        title: above it.

    Raises:
        BackendError: matplotlib is not installed.
    """
    import_matplotlib()
    from matplotlib import pyplot as plt

    chosen = [one for one in measurements if one.is_chosen and one.problem.flops > 0]
    figure, axes = plt.subplots(figsize=(11, 7), layout="constrained")
    axes.set(xscale="log", yscale="log")
    operations = list(dict.fromkeys(one.problem.operation for one in chosen))
    colours = plt.get_cmap("tab20")
    for index, operation in enumerate(operations):
        # The ten strong colours first, then the ten pale ones.
        colour = colours((2 * index) % 20 + (2 * index) // 20 % 2)
        style = {"color": colour, "marker": _MARKERS[index % len(_MARKERS)]}
        _draw_points(axes, [m for m in chosen if m.problem.operation == operation], style)
    if any(one.torch for one in chosen):
        axes.scatter([], [], facecolors="none", edgecolors="0.3", label="PyTorch's best")
    name, _ = ceilings.unit
    axes.set(xlabel="FLOP a byte", ylabel=name)
    axes.set_title(title, fontsize=9)
    axes.grid(which="major", alpha=0.3)
    figure.legend(loc="outside right upper", fontsize=8)
    _draw_roof(axes, chosen, ceilings)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _intensity(measurement: Measurement) -> float:
    return measurement.problem.flops / measurement.problem.traffic


def _draw_roof(axes: Any, measurements: Sequence[Measurement], ceilings: Ceilings) -> None:
    intensities = [_intensity(measurement) for measurement in measurements]
    ridge = ceilings.arithmetic / ceilings.bandwidth
    name, unit = ceilings.unit
    x = np.geomspace(min([*intensities, ridge]) / 2, max([*intensities, ridge]) * 2, 200)
    roof = np.minimum(x * ceilings.bandwidth, ceilings.arithmetic) / unit
    axes.plot(x, roof, color="black", linewidth=1.5)
    label = {"textcoords": "offset points", "fontsize": 8, "va": "bottom"}
    axes.annotate(
        f"arithmetic, {ceilings.arithmetic / unit:.3g} {name}",
        (x[-1], roof[-1]), xytext=(-4, 3), ha="right", **label,
    )  # fmt: skip
    # Along the slope, as it is on the paper.
    axes.figure.draw_without_rendering()
    (left, low), (right, high) = axes.transData.transform([(x[0], roof[0]), (x[1], roof[1])])
    angle = np.degrees(np.arctan2(high - low, right - left))
    axes.annotate(
        f"memory, {ceilings.bandwidth / 1e9:.4g} GB/s",
        (x[2], roof[2]), xytext=(-3, 3), rotation=angle, rotation_mode="anchor", **label,
    )  # fmt: skip


def _draw_points(axes: Any, measurements: Sequence[Measurement], style: dict[str, Any]) -> None:
    """Ours filled, PyTorch's hollow, and a line between the two of one problem."""
    x = [_intensity(measurement) for measurement in measurements]
    _, unit = measurements[0].ceilings.unit
    y = [measurement.flop_rate / unit for measurement in measurements]
    axes.scatter(
        x, y, s=36, label=measurements[0].problem.operation, zorder=3, linewidths=0, **style
    )
    for measurement, intensity, rate in zip(measurements, x, y, strict=True):
        best = measurement.best_torch
        if best is None:
            continue
        theirs = measurement.problem.flops / (best.median / 1e3) / unit
        axes.plot([intensity] * 2, [rate, theirs], color=style["color"], linewidth=0.6, alpha=0.6)
        axes.scatter(
            [intensity], [theirs], s=30, facecolors="none", edgecolors=[style["color"]],
            marker=style["marker"], linewidths=0.9, zorder=2,
        )  # fmt: skip
