"""Tables of an evaluation: by class, and the confusion matrix if it is narrow enough."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gpucnn.cli.output import table
from gpucnn.text import shown

if TYPE_CHECKING:
    from gpucnn.training.evaluation import Evaluation

_MOST_CLASSES = 12
"""Of a matrix that can be taken in at a glance."""


def class_table(classes: Sequence[str], result: Evaluation) -> str:
    """A row for each class: its images, the share that is right, and its most frequent error."""
    classes = [*map(shown, classes)]
    rows = [
        [name, int(size), _percent(accuracy), _most_frequent_error(classes, result, true)]
        for true, (name, size, accuracy) in enumerate(
            zip(classes, result.class_sizes(), result.class_accuracy(), strict=True)
        )
    ]
    return table(["class", "images", "accuracy", "most often taken for"], rows)


def confusion_table(classes: Sequence[str], result: Evaluation, width: int) -> str | None:
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


def _most_frequent_error(classes: Sequence[str], result: Evaluation, true: int) -> str:
    errors = result.confusion[true].copy()
    errors[true] = 0
    worst = int(errors.argmax())
    return f"{classes[worst]} ({errors[worst]})" if errors[worst] else ""
