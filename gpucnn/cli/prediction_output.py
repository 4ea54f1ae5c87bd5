"""How ``gpucnn predict`` shows answers: as lines, as JSON, or as a table in csv."""

from __future__ import annotations

import csv
import io
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from gpucnn.errors import DataError
from gpucnn.json_text import json_text
from gpucnn.text import shown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gpucnn.inference import TrainedModel

    Answer: TypeAlias = NDArray[np.floating]
    """What a model says of an image, (number of its names,)."""

    Show: TypeAlias = Callable[[str, Answer | DataError], None]


class Answers(ABC):
    """What the answers of a model mean, in words and cells.

    Attributes:
        header: the titles of ``cells``.
    """

    header: list[str]

    @abstractmethod
    def words(self, answer: Answer) -> str:
        """For a line."""

    @abstractmethod
    def entry(self, answer: Answer) -> dict[str, Any]:
        """For JSON."""

    @abstractmethod
    def cells(self, answer: Answer) -> list[str]:
        """For a row of a table."""


class _Classes(Answers):
    """The most probable classes.

    Args:
        names: of all classes.
        top: how many to show.
    """

    def __init__(self, names: Sequence[str], top: int) -> None:
        self._names, self._top = names, min(top, len(names))
        numbers = ["", *(f"_{number}" for number in range(2, self._top + 1))]
        self.header = [f"{title}{n}" for n in numbers for title in ("prediction", "probability")]

    def _best(self, answer: Answer) -> list[tuple[str, np.floating]]:
        order = (-answer).argsort(kind="stable")[: self._top]
        return [(self._names[label], answer[label]) for label in order]

    def words(self, answer: Answer) -> str:
        return "   ".join(f"{shown(name)} {share:.2%}" for name, share in self._best(answer))

    def entry(self, answer: Answer) -> dict[str, Any]:
        best = [{"class": name, "probability": float(share)} for name, share in self._best(answer)]
        return {"predictions": best}

    def cells(self, answer: Answer) -> list[str]:
        return [cell for name, share in self._best(answer) for cell in (name, str(share))]


class _Numbers(Answers):
    """The numbers of a regression, in their units.

    Args:
        names: of the numbers.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.header = list(names)

    def words(self, answer: Answer) -> str:
        pairs = zip(self.header, answer, strict=True)
        return "   ".join(f"{shown(name)} {number:.6g}" for name, number in pairs)

    def entry(self, answer: Answer) -> dict[str, Any]:
        return {"numbers": dict(zip(self.header, map(float, answer), strict=True))}

    def cells(self, answer: Answer) -> list[str]:
        return [str(number) for number in answer]  # as few digits as tell it from its neighbours


def answers_of(model: TrainedModel, top: int) -> Answers:
    """What a model's answers mean.

    Args:
        model: that gives them.
        top: how many classes to show, if it has classes.
    """
    return _Classes(model.classes, top) if model.classes else _Numbers(model.task.names)


@contextmanager
def lines(answers: Answers) -> Iterator[Show]:
    """What prints a line for each image that has an answer."""

    def show(path: str, answer: Answer | DataError) -> None:
        if not isinstance(answer, DataError):
            click.echo(f"{shown(path)}: {answers.words(answer)}")

    yield show


@contextmanager
def json_list(answers: Answers) -> Iterator[Show]:
    """What prints an entry of a JSON list for each image; the list is complete in any event."""
    is_empty = True

    def show(path: str, answer: Answer | DataError) -> None:
        nonlocal is_empty
        if isinstance(answer, DataError):
            entry: dict[str, Any] = {"error": str(answer)}
        else:
            entry = answers.entry(answer)
        text = textwrap.indent(json_text({"image": path, **entry}, indent=1), " ")
        click.echo(f"{'[' if is_empty else ','}\n{text}", nl=False)
        is_empty = False

    try:
        yield show
    finally:
        click.echo("[]" if is_empty else "\n]")


@contextmanager
def csv_table(answers: Answers, target: Path | None) -> Iterator[Show]:
    """Returns a function that writes a row for each image; an unreadable file has no answer.

    Args:
        answers: what they mean.
        target: the file to write; None for standard output.
    """
    file = None if target is None else target.open("wb")

    def write(*cells: str) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(cells)
        if file is None:
            click.echo(text.getvalue(), nl=False)
        else:
            file.write(text.getvalue().encode("utf-8", "surrogateescape"))

    def show(path: str, answer: Answer | DataError) -> None:
        if isinstance(answer, DataError):
            write(path, *[""] * len(answers.header))
        else:
            write(path, *answers.cells(answer))

    try:
        write("file", *answers.header)
        yield show
    finally:
        if file is not None:
            file.close()
