"""What a network's outputs mean, and how good they are: classification or regression."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, overload

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.base import Backend
from gpucnn.backends.interface.arrays import Array
from gpucnn.data import Normalisation
from gpucnn.losses import Loss


@dataclass(frozen=True)
class Measure:
    """What is shown of a split next to its loss.

    Attributes:
        key: in rows of metrics.jsonl, after the name of the split.
        title: of a column, and in a sentence.
        text: a value as it is shown, in eight columns at most.
    """

    key: str
    title: str
    text: Callable[[float | None], str]


class Evaluation(ABC):
    """How good a network is on a data set.

    Attributes:
        loss: the mean loss.
    """

    loss: float

    @property
    @abstractmethod
    def n(self) -> int:
        """The number of samples."""

    @property
    @abstractmethod
    def score(self) -> float:
        """What the best checkpoint of a run has most of."""

    @abstractmethod
    def figures(self) -> dict[str, float | None]:
        """The loss and other numbers of the whole, by the names that metrics.jsonl has."""

    @property
    @abstractmethod
    def text(self) -> str:
        """The same for a reader, in a line."""

    @abstractmethod
    def as_json(self, names: Iterable[str]) -> dict[str, object]:
        """All of it, by output; ``names`` are those of the task."""


class Judge(ABC):
    """Compares a network's outputs with what they should be, on the host, batch by batch."""

    @abstractmethod
    def add(
        self,
        labels: NDArray[np.int32],
        targets: NDArray[np.float32] | None,
        outputs: NDArray[Any],
    ) -> None:
        """Takes the labels and targets of a batch, and the outputs for it."""

    @abstractmethod
    def result(self, loss_sum: float) -> Evaluation:
        """How good all of them are, given the sum of their losses."""


class Places(Sequence[str]):
    """The numbers from 0 as names, for outputs without names; none is made before it is used.

    Args:
        count: of the names; it may be far larger than memory.
    """

    def __init__(self, count: int) -> None:
        self._places = range(count)

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> list[str]: ...

    def __getitem__(self, place: int | slice) -> str | list[str]:
        found = self._places[place]
        return str(found) if isinstance(found, int) else [*map(str, found)]


class Task(ABC):
    """What a network learns.

    Attributes:
        names: of the outputs, in their order.
        target_normalisation: of the numbers of a regression; None in a classification.
        measure: what is shown of it.
        judged_by: what the score of an evaluation is.
    """

    measure: ClassVar[Measure]
    judged_by: ClassVar[str]
    names: Sequence[str]
    target_normalisation: Normalisation | None = None

    @property
    def outputs(self) -> int:
        """How many there are."""
        return len(self.names)

    @abstractmethod
    def check_loss(self, loss: Loss, name: str) -> None:
        """Raises ConfigError if a loss is not one for this task; ``name`` is its name."""

    @abstractmethod
    def blank(self, size: int) -> tuple[NDArray[np.int32], NDArray[np.float32] | None]:
        """Labels and targets of a batch that has no content, as a data set would give them."""

    @abstractmethod
    def draw(self, seed: int, size: int) -> NDArray[Any]:
        """Something random for a loss to compare outputs with, (size,) or (size, outputs)."""

    @abstractmethod
    def accumulate(
        self,
        backend: Backend,
        totals: Array,
        losses: Array,
        outputs: Array,
        judged: Array,
        guard: Array | None = None,
    ) -> None:
        """Adds to the totals of an epoch, float64 (2,): losses, and what ``means`` needs besides.

        Args:
            backend: that has the arrays.
            totals: are changed, unless the guard forbids it.
            losses: (n,).
            outputs: (n, number of names).
            judged: what they are compared with (``InputPipeline.truth``).
            guard: of the step, or None.
        """

    @abstractmethod
    def means(self, totals: tuple[float, float], n: int) -> Mapping[str, float | None]:
        """The loss and the measure, by their keys, from the totals over n samples."""

    @abstractmethod
    def score_text(self, score: float) -> str:
        """The score of an evaluation as a reader knows it, such as "97.00%"."""

    @abstractmethod
    def judge(self) -> Judge:
        """For an evaluation."""

    @abstractmethod
    def join(self, backend: Backend, outputs: Iterable[Array]) -> Array:
        """What a network's outputs for several views of the same images say together, as outputs.

        Each is read back before the next one is asked for.
        """

    @abstractmethod
    def answers(self, backend: Backend, outputs: Array) -> NDArray[Any]:
        """What a network's outputs say, (n, number of names), on the host, for a user."""

    @abstractmethod
    def chance(self, labels: NDArray[np.int32]) -> float:
        """The accuracy of who gives the same answer to all of these samples; 0 in a regression."""
