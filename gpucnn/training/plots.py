"""Pictures of a run: its learning curves and its confusion matrix. They need matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from gpucnn.errors import CheckpointError
from gpucnn.plotting import import_pyplot
from gpucnn.training.run_folder import RunFolder

_MOST_CLASSES = 20
"""Of a matrix in which counts, and names beside it, can be read."""
_DARK = 0.5
"""The share from which a square is so dark that its number is white."""


class Report(msgspec.Struct):
    """What a run's report.json has, as far as it is drawn.

    Attributes:
        accuracy: the share of the test split that was right.
        n: images of the test split.
        class_accuracy: the same by class, None for one without images.
        confusion: counts, a row a true class, a column a predicted one.
    """

    accuracy: float
    n: int
    class_accuracy: dict[str, float | None]
    confusion: list[list[int]]


def draw_run(run: RunFolder, path: Path) -> None:
    """Draws loss and accuracy by epoch and, of a run that came to its end, the confusion matrix.

    Args:
        run: that has ended an epoch.
        path: the picture to write.

    Raises:
        BackendError: matplotlib is not installed.
        CheckpointError: no epoch has ended, or a file of the run is damaged.
    """
    pyplot = import_pyplot()
    epochs, report = read_epochs(run), read_report(run)
    panels = 2 if report is None else 3
    figure, axes = pyplot.subplots(1, panels, figsize=(5 * panels, 4.6), layout="constrained")
    draw_curves(axes[0], epochs, "loss")
    draw_curves(axes[1], epochs, "accuracy")
    if report is not None:
        draw_confusion(axes[2], report)
    figure.suptitle(run.path.resolve().name)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def read_epochs(run: RunFolder) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl at the ends of epochs; CheckpointError where there are none."""
    epochs = [row for row in run.metrics() if "epoch" in row]
    if not epochs:
        raise CheckpointError(f"{run.path}: no epoch of this run has ended; there is no curve yet")
    return epochs


def read_report(run: RunFolder) -> Report | None:
    """The run's report, None before its end; CheckpointError where it is damaged."""
    path = run.path / "report.json"
    if not path.exists():
        return None
    try:
        report = msgspec.convert(run.read_json(path.name), Report)
    except msgspec.ValidationError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None
    if {len(report.confusion), *map(len, report.confusion)} != {len(report.class_accuracy)}:
        raise CheckpointError(f"{path} is damaged: its confusion matrix is not of its classes")
    return report


def draw_curves(axes: Any, epochs: Sequence[Mapping[str, Any]], quantity: str) -> None:
    """Draws "loss" or "accuracy", in %, of training and of the split that was watched."""
    from matplotlib.ticker import MaxNLocator

    scale, unit = (100, ", %") if quantity == "accuracy" else (1, "")
    numbers = [row["epoch"] for row in epochs]
    for split in ("train", "validation", "test"):
        key = f"{split}_{quantity}"
        if key in epochs[0]:
            label = "training" if split == "train" else split
            axes.plot(numbers, [scale * row[key] for row in epochs], marker=".", label=label)
    axes.set(xlabel="epoch", ylabel=f"{quantity}{unit}", title=f"{quantity.capitalize()} by epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.grid(alpha=0.3)
    axes.legend()


def draw_confusion(axes: Any, report: Report) -> None:
    """Draws the confusion matrix: a square is as dark as its share of its row."""
    confusion = np.array(report.confusion)
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    classes = list(report.class_accuracy)
    if len(classes) <= _MOST_CLASSES:
        for (true, predicted), count in np.ndenumerate(confusion):
            if count:
                colour = "white" if shares[true, predicted] > _DARK else "black"
                axes.text(
                    predicted, true, count, ha="center", va="center", fontsize=7, color=colour
                )
        upright = 90 if max(map(len, classes)) > 2 else 0
        axes.set_xticks(range(len(classes)), classes, rotation=upright)
        axes.set_yticks(range(len(classes)), classes)
    axes.set(
        xlabel="predicted class",
        ylabel="true class",
        title=f"Test split: {report.accuracy:.2%} of {report.n:,}",
    )
