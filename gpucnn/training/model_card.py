"""What a run's model takes and tells apart, and whether a data set is of that kind."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from gpucnn.data import Dataset, Normalisation
from gpucnn.errors import DataError

_MOST_NAMES = 20
"""Of classes in a message."""


@dataclass(frozen=True)
class ModelCard:
    """What a trained model needs to take images, and what it learned from: part of the run folder.

    Attributes:
        input_shape: (H, W, C).
        classes: their names, in the order of the scores.
        normalisation: mean and deviation of each channel, of pixels in [0, 1].
        training_images: how many it learns from; None on cards that do not tell.
    """

    input_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    normalisation: Normalisation
    training_images: int | None = None

    def check_data(self, dataset: Dataset) -> None:
        """Whether a data set is of the model's images and classes.

        Raises:
            DataError: its images have another shape, or its classes are others or in another order.
        """
        if dataset.image_shape != self.input_shape:
            raise DataError(
                f"the data has images of the shape {_sides(dataset.image_shape)}, and the model "
                f"takes {_sides(self.input_shape)}; give it the data that it was trained for"
            )
        if dataset.classes != self.classes:
            pairs = itertools.zip_longest(dataset.classes, self.classes, fillvalue="missing")
            place, (theirs, ours) = next(
                (place, pair) for place, pair in enumerate(pairs) if pair[0] != pair[1]
            )
            raise DataError(
                f"the data has the classes {_listed(dataset.classes)}, and the model has "
                f"{_listed(self.classes)}; the first that differs is number {place}, {theirs} in "
                f"the data and {ours} in the model"
            )

    def check_same_training(self, other: ModelCard) -> None:
        """Whether another card tells of the same images to train on, as far as cards tell.

        Args:
            other: of the data at hand, which is of this card's images and classes.

        Raises:
            DataError: it has another number of images, or another normalisation.
        """
        if self.training_images not in (None, other.training_images):
            before, now = f"{self.training_images} images", f"{other.training_images}"
        elif self.normalisation != other.normalisation:
            before, now = _told(self.normalisation), _told(other.normalisation)
        else:
            return
        raise DataError(
            f"the run began with {before} to train on, and the data has {now} now; a run can only "
            f"go on with the data that it began with"
        )


def _sides(shape: tuple[int, int, int]) -> str:
    return "×".join(map(str, shape))


def _told(normalisation: Normalisation) -> str:
    return f"images of mean {normalisation.mean} and deviation {normalisation.std}"


def _listed(names: tuple[str, ...]) -> str:
    """All of them, or how many and the first."""
    shown = ", ".join(names[:_MOST_NAMES])
    return shown if len(names) <= _MOST_NAMES else f"{shown}, … ({len(names)})"
