"""Tables of an evaluation: by class or target; the confusion matrix if it is narrow enough."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch

from gpucnn.cli.output import table
from gpucnn.text import shown
from gpucnn.training.classification import ClassificationResult
from gpucnn.training.regression import RegressionResult
from gpucnn.training.task import Evaluation

_MOST_CLASSES = 12
"""Of a matrix that can be taken in at a glance."""


@singledispatch
def result_table(result: Evaluation, names: Sequence[str]) -> str:
    """A row for each class, or for each number that is predicted.

    Args:
        result: of an evaluation.
        names: of the task's outputs.
    """
    raise NotImplementedError(type(result))


@result_table.register
def _(result: RegressionResult, names: Sequence[str]) -> str:
    deviations = result.targets.std(axis=0)
    rows = [
        [shown(name), "-" if r2 is None else f"{r2:.4f}", f"{rmse:.4g}", f"{deviation:.4g}"]
        for name, r2, rmse, deviation in zip(
            names, result.target_r2(), result.target_rmse(), deviations, strict=True
        )
    ]
    return table(["target", "R²", "RMSE", "its deviation"], rows)


@result_table.register
def _(result: ClassificationResult, names: Sequence[str]) -> str:
    return class_table(names, result)


@singledispatch
def fullest_table(result: Evaluation, names: Sequence[str], width: int) -> tuple[str, str]:  # noqa: ARG001
    """What says most: ``result_table``, or the confusion matrix if there is one that fits.

    Args:
        result: of an evaluation.
        names: of the task's outputs.
        width: columns of the terminal.

    Returns:
        What it shows, if that is not plain, and the table.
    """
    return "", result_table(result, names)


@fullest_table.register
def _(result: ClassificationResult, names: Sequence[str], width: int) -> tuple[str, str]:
    confusion = confusion_table(names, result, width)
    if confusion is None:
        return "", class_table(names, result)
    return "rows: true class, columns: predicted", confusion


def class_table(classes: Sequence[str], result: ClassificationResult) -> str:
    """A row for each class: its images, the share that is right, and its most frequent error."""
    classes = [*map(shown, classes)]
    rows = [
        [name, int(size), _percent(accuracy), _most_frequent_error(classes, result, true)]
        for true, (name, size, accuracy) in enumerate(
            zip(classes, result.class_sizes(), result.class_accuracy(), strict=True)
        )
    ]
    return table(["class", "images", "accuracy", "most often taken for"], rows)


def confusion_table(classes: Sequence[str], result: ClassificationResult, width: int) -> str | None:
    """The confusion matrix, with a row for each true class and a column for each predicted one.

    Columns are titled by the classes' names or, if that is too wide, by their numbers, which then
    precede the names in the rows.

    Args:
        classes: their names, in the order of the scores.
        result: of an evaluation on them.
        width: columns of the terminal.

    Returns:
        None if it is wider than that, or has too many classes to be read.
    """
    classes = [*map(shown, classes)]
    if len(classes) > _MOST_CLASSES:
        return None
    numbers = [str(number) for number in range(len(classes))]
    numbered = [f"{number} {name}" for number, name in zip(numbers, classes, strict=True)]
    for titles, names in ((classes, classes), (numbers, numbered)):
        rows = [
            [name, *map(int, row), _percent(accuracy)]
            for name, row, accuracy in zip(
                names, result.confusion, result.class_accuracy(), strict=True
            )
        ]
        text = table(["", *titles, "accuracy"], rows)
        if max(map(len, text.splitlines())) <= width:
            return text
    return None


def _percent(accuracy: float | None) -> str:
    return "-" if accuracy is None else f"{accuracy:.2%}"


def _most_frequent_error(classes: Sequence[str], result: ClassificationResult, true: int) -> str:
    errors = result.confusion[true].copy()
    errors[true] = 0
    worst = int(errors.argmax())
    return f"{classes[worst]} ({errors[worst]})" if errors[worst] else ""
