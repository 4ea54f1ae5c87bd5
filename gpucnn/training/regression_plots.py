"""Pictures of a regression: predicted numbers against true ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias

import msgspec

from gpucnn.text import shown

_MOST_DRAWN = 9
"""Targets that have a picture; of more, the first."""
_SIDE = 3.3
"""Inches of a picture."""

_LARGEST = 1e100
"""Of a number: no network in FP32 comes near, and matplotlib can draw it."""

_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
_R2: TypeAlias = Annotated[float, msgspec.Meta(le=1)]
_Error: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=_LARGEST)]
_Number: TypeAlias = Annotated[float, msgspec.Meta(ge=-_LARGEST, le=_LARGEST)]


class TargetFigures(msgspec.Struct):
    """How well a number is predicted: R², which may not be known, and RMSE in its unit."""

    r2: _R2 | None
    rmse: _Error


class RegressionReport(msgspec.Struct):
    """The parts of a regression's report.json that are drawn.

    Attributes:
        n: images of the test split.
        targets: by name, in the order of the columns of the others.
        true, predicted: numbers of some of the images, a row for each of these.
    """

    n: _Count
    targets: dict[str, TargetFigures]
    true: list[list[_Number]]
    predicted: list[list[_Number]]

    def why_damaged(self) -> str | None:
        """What does not belong together; None if all does."""
        if not self.targets or len(self.true) != len(self.predicted) or not self.true:
            return "its true and predicted numbers are not as many"
        if {len(row) for row in (*self.true, *self.predicted)} != {len(self.targets)}:
            return "its numbers are not of its targets"
        return None

    @property
    def inches(self) -> float:
        """The side of the square that ``draw`` fills."""
        return self._columns * _SIDE

    @property
    def _columns(self) -> int:
        return math.ceil(math.sqrt(min(len(self.targets), _MOST_DRAWN)))

    def draw(self, figure: Any) -> None:
        """Draws a picture for each target: what is predicted over what is true.

        Args:
            figure: matplotlib's, empty.
        """
        columns = self._columns
        drawn = list(self.targets.items())[:_MOST_DRAWN]
        rows = -(-len(drawn) // columns)
        all_axes = figure.subplots(rows, columns, squeeze=False).reshape(-1)
        for column, (name, figures) in enumerate(drawn):
            true, predicted = (
                [row[column] for row in part] for part in (self.true, self.predicted)
            )
            draw_target(all_axes[column], name, figures, true, predicted)
        for axes in all_axes[len(drawn) :]:
            axes.set_axis_off()


def draw_target(
    axes: Any,
    name: str,
    figures: TargetFigures,
    true: Sequence[float],
    predicted: Sequence[float],
) -> None:
    """Draws a dot for each image, and the line on which a perfect prediction is.

    Args:
        axes: matplotlib's.
        name: of the number.
        figures: of the whole test split.
        true, predicted: of the images that are drawn.
    """
    axes.plot(true, predicted, ".", markersize=3, alpha=0.6)
    ends = min(*true, *predicted), max(*true, *predicted)
    axes.plot(ends, ends, color="black", linewidth=0.8)
    r2 = "-" if figures.r2 is None else f"{figures.r2:.4f}"
    title = axes.set_title(f"{shown(name)}\nR² {r2}, RMSE {figures.rmse:.4g}", fontsize=9)
    title.set_parse_math(False)
    axes.set(xlabel="true", ylabel="predicted")
    axes.grid(alpha=0.3)
