"""Pictures of a run: its learning curves and what its report says. They need matplotlib."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import msgspec
import numpy as np

from gpucnn.errors import CheckpointError, brief
from gpucnn.plotting import import_pyplot
from gpucnn.text import shown
from gpucnn.training.classification import Classification
from gpucnn.training.regression import Regression
from gpucnn.training.regression_plots import RegressionReport
from gpucnn.training.run_folder import RunFolder
from gpucnn.training.task import Measure

_MOST_NUMBERED = 20
"""Classes of a matrix in which the counts can be read."""
_ROW = {True: 0.22, False: 0.11}
"""Inches of a row of a matrix, with and without counts."""
_SMALLEST, _LARGEST = 3.3, 11.0
"""Inches of a matrix."""
_LABEL = 0.1
"""Inches between the names of classes, so that they do not overlap."""
_LONGEST_NAME = 28
_DARK = 0.5
"""The share from which a square is so dark that its number is white."""
_MOST_EPOCHS = 10**7
_LARGEST_LOSS = 1e100
"""Larger losses, like NaN, are gaps in the curve."""
_LINEAR = 1e4
"""The ratio of losses from which their axis is logarithmic."""

_MEASURES = (Classification.measure, Regression.measure)
"""What the rows of a run may have next to the loss."""

_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Share: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Report(msgspec.Struct):
    """The parts of a classification's report.json that are drawn.

    Attributes:
        accuracy: the share of the test split that was right.
        n: images of the test split.
        class_accuracy: the same by class, None for one without images.
        confusion: counts, a row for each true class, a column for each predicted one.
    """

    accuracy: _Share
    n: _Count
    class_accuracy: dict[str, _Share | None]
    confusion: list[list[_Count]]

    def why_damaged(self) -> str | None:
        """What does not belong together; None if all does."""
        sides = {len(self.confusion), *map(len, self.confusion)}
        if sides != {len(self.class_accuracy)} or not self.confusion:
            return "its confusion matrix is not of its classes"
        if sum(map(sum, self.confusion)) != self.n:
            return f"its confusion matrix does not add up to n = {self.n}"
        return None

    @property
    def inches(self) -> float:
        """The side of the matrix with the names beside it."""
        return _side(list(self.class_accuracy))

    def draw(self, figure: Any) -> None:
        """Draws the confusion matrix.

        Args:
            figure: matplotlib's, empty.
        """
        draw_confusion(figure.subplots(), self)


def draw_run(run: RunFolder, path: Path) -> None:
    """Draws loss and accuracy, or R², by epoch and, if the run has ended, what its report says.

    That is the confusion matrix or, of a regression, predicted numbers over true ones.

    Args:
        run: that has ended an epoch.
        path: the picture to write.

    Raises:
        BackendError: matplotlib is not installed.
        CheckpointError: no epoch has ended, or a file of the run is damaged.
    """
    pyplot = import_pyplot()
    epochs, report = read_epochs(run), read_report(run)
    side = 0.0 if report is None else report.inches
    is_tall = side > 7  # then the curves are one above the other
    width, height = (5.0 if is_tall else 10.0), max(4.6, side)
    figure = pyplot.figure(figsize=(width + side, height), layout="constrained")
    curves = figure
    if report is not None:
        curves, picture = figure.subfigures(1, 2, width_ratios=[width, side])
        report.draw(picture)
    loss, other = curves.subplots(2, 1) if is_tall else curves.subplots(1, 2)
    draw_curves(loss, epochs, "loss")
    draw_curves(other, epochs, _measure(epochs[0]).key)
    figure.suptitle(shown(run.path.resolve().name)).set_parse_math(False)
    with warnings.catch_warnings():
        # Of scripts that the font lacks: a box is drawn in their place.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _side(classes: Sequence[str]) -> float:
    """Inches of a matrix with the names beside it."""
    longest = max(len(_short(name)) for name in classes)
    return 1.3 + _cells(len(classes)) + longest * _font(len(classes)) * 0.6 / 72


def _cells(classes: int) -> float:
    """Inches of a matrix without the names."""
    return min(max(_SMALLEST, classes * _ROW[classes <= _MOST_NUMBERED]), _LARGEST)


def _font(classes: int) -> int:
    """The size of the names in points."""
    return 10 if classes <= 10 else 8 if classes <= _MOST_NUMBERED else 6


def read_epochs(run: RunFolder) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl at the ends of epochs, checked.

    Returns:
        Each with "epoch", and loss and accuracy, or R², of "train" and of the other split, which
        may be None if they were not finite.

    Raises:
        CheckpointError: no epoch has ended, or a line is damaged; with its number.
    """
    epochs: list[dict[str, Any]] = []
    for number, row in enumerate(run.metrics(), 1):
        if "epoch" not in row:
            continue
        if reason := _why_damaged(row, epochs):
            place = f"{shown(run.path / 'metrics.jsonl')}, line {number}"
            raise CheckpointError(f"{place}: {reason}; remove the line, or restore the file")
        epochs.append(row)
    if not epochs:
        raise CheckpointError(
            f"{shown(run.path)}: no epoch of this run has ended; there is no curve yet"
        )
    return epochs


def _why_damaged(row: Mapping[str, Any], before: Sequence[Mapping[str, Any]]) -> str | None:
    """What is wrong with the line of an epoch, given those before it; None if nothing is."""
    epoch, last = row["epoch"], before[-1]["epoch"] if before else 0
    if type(epoch) is not int or not last < epoch <= _MOST_EPOCHS:
        if before:
            return f"epoch is {brief(epoch)}, which cannot follow epoch {last}"
        return f"epoch is {brief(epoch)}, not a positive whole number"
    first = before[0] if before else row
    split, measure = _split(first), _measure(first).key
    for key in ("train_loss", f"train_{measure}", f"{split}_loss", f"{split}_{measure}"):
        if key not in row:
            return f"{key} is missing"
        value = row[key]
        if value is None:
            continue
        if type(value) not in (int, float):
            return f"{key} is {brief(value)}, not a number"
        if key.endswith("accuracy") and not 0 <= value <= 1:
            return f"{key} is {brief(value)}, not from 0 to 1"
        if key.endswith("r2") and not value <= 1:
            return f"{key} is {brief(value)}, not 1 at most"
    return None


def _split(row: Mapping[str, Any]) -> str:
    """The split that was evaluated after each epoch."""
    return "validation" if "validation_loss" in row else "test"


def _measure(row: Mapping[str, Any]) -> Measure:
    """What was recorded next to the loss; the accuracy if the row is damaged."""
    return next((each for each in _MEASURES if f"train_{each.key}" in row), _MEASURES[0])


def read_report(run: RunFolder) -> Report | RegressionReport | None:
    """The run's report, None before its end; CheckpointError if it is damaged."""
    path = run.path / "report.json"
    if not path.exists():
        return None
    content = run.read_json(path.name)
    is_regression = "predicted" in content
    kind: type[Report | RegressionReport] = RegressionReport if is_regression else Report
    try:
        report = msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise _damaged(path, str(error)) from None
    if reason := report.why_damaged():
        raise _damaged(path, reason)
    return report


def _damaged(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        f'{shown(path)} is damaged: {reason}; "gpucnn train --resume RUN" writes it again'
    )


def draw_curves(axes: Any, epochs: Sequence[Mapping[str, Any]], quantity: str) -> None:
    """Draws "loss", "r2", or "accuracy" in %, of training and of the split that was evaluated.

    Args:
        axes: matplotlib's.
        epochs: as from ``read_epochs``.
        quantity: which.
    """
    from matplotlib.ticker import MaxNLocator

    scale, unit = (100, ", %") if quantity == "accuracy" else (1, "")
    numbers = [row["epoch"] for row in epochs]
    drawn: list[float] = []
    for split in ("train", _split(epochs[0])):
        label = "training" if split == "train" else split
        values = [scale * _drawable(row[f"{split}_{quantity}"]) for row in epochs]
        axes.plot(numbers, values, marker=".", label=label)
        drawn += [value for value in values if not math.isnan(value)]
    if drawn and 0 < min(drawn) * _LINEAR < max(drawn) and quantity == "loss":
        axes.set_yscale("log")
    name = next((each.title for each in _MEASURES if each.key == quantity), quantity)
    axes.set(xlabel="epoch", ylabel=f"{name}{unit}", title=f"{name.capitalize()} by epoch")
    margin = max(0.5, 0.03 * (numbers[-1] - numbers[0]))
    axes.set_xlim(numbers[0] - margin, numbers[-1] + margin)
    locator = MaxNLocator(nbins="auto", integer=True, steps=[1, 2, 5, 10], min_n_ticks=1)
    axes.xaxis.set_major_locator(locator)
    axes.ticklabel_format(axis="x", style="plain", useOffset=False)
    axes.grid(alpha=0.3)
    axes.legend()


def _drawable(value: float | None) -> float:
    return math.nan if value is None or not abs(value) <= _LARGEST_LOSS else value


def draw_confusion(axes: Any, report: Report) -> None:
    """Draws the confusion matrix: a square is as dark as its share of its row.

    Up to 20 classes the counts are written into the squares. If there are too many classes for
    all of their names, only one in two, five, ten and so on has its name.
    """
    confusion = np.array(report.confusion)
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    classes = [_short(name) for name in report.class_accuracy]
    if len(classes) <= _MOST_NUMBERED:
        _write_counts(axes, confusion, shares)
    every = _label_distance(len(classes))
    places = range(0, len(classes), every)
    size = _font(len(classes))
    upright = 90 if max(map(len, classes)) > 2 or len(classes) > _MOST_NUMBERED else 0
    names = [classes[place] for place in places]
    axes.set_xticks(places, names, rotation=upright, fontsize=size)
    axes.set_yticks(places, names, fontsize=size)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)
    left_out = f" (one name in {every})" if every > 1 else ""
    axes.set(
        xlabel=f"predicted class{left_out}",
        ylabel="true class",
        title=f"Test split: {report.accuracy:.2%} of {report.n:,}",
    )


def _write_counts(axes: Any, confusion: Any, shares: Any) -> None:
    size = 7 if len(confusion) <= 12 else 5
    for (true, predicted), count in np.ndenumerate(confusion):
        if count:
            colour = "white" if shares[true, predicted] > _DARK else "black"
            axes.text(predicted, true, count, ha="center", va="center", fontsize=size, color=colour)


def _label_distance(classes: int) -> int:
    """How many classes share a name, so that names do not overlap: 1, 2, 5, 10 and so on."""
    distances: tuple[int, ...] = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
    wanted = classes * _LABEL / _cells(classes)
    return next((distance for distance in distances if distance >= wanted), classes)


def _short(name: str) -> str:
    """The name of a class, on one line and not too long."""
    name = shown(name)
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
