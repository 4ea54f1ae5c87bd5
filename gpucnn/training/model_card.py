"""What images a run's model takes and what it says of them, and whether a data set has the same."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from gpucnn.data import Dataset, Normalisation
from gpucnn.data.class_names import first_difference, how_they_differ, listed, look_alikes
from gpucnn.errors import DataError
from gpucnn.text import shown
from gpucnn.training.classification import Classification
from gpucnn.training.regression import Regression
from gpucnn.training.task import Task


@dataclass(frozen=True)
class ModelCard:
    """What a trained model needs to take images, and what it learned from: part of the run folder.

    Attributes:
        input_shape: (H, W, C).
        classes: their names, in the order of the scores; empty in a regression.
        normalisation: mean and deviation of each channel, of pixels in [0, 1].
        training_images: how many it learns from; None on cards of early versions.
        data: a fingerprint of both splits with their labels and order, before a validation split
            is taken from the training split; None on cards of version 0.1.
        target_names: of the numbers that a regression predicts; otherwise empty.
        target_normalisation: their mean and deviation; None if there are none.

    Raises:
        ValueError: values that do not belong together.
    """

    input_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    normalisation: Normalisation
    training_images: int | None = None
    data: str | None = None
    target_names: tuple[str, ...] = ()
    target_normalisation: Normalisation | None = None

    def __post_init__(self) -> None:
        mean, std = self.normalisation.mean, self.normalisation.std
        if min(self.input_shape) < 1:
            raise ValueError(f"its input shape is {self.input_shape}")
        names = self.classes or self.target_names
        if len(set(names)) < len(names) or not names:
            raise ValueError("its classes are none, or two of them have the same name")
        if not len(mean) == len(std) == self.input_shape[2]:
            raise ValueError("its normalisation does not have as many channels as its images")
        _check_possible(self.normalisation)
        targets = self.target_normalisation
        if bool(self.classes) == bool(self.target_names) or bool(self.classes) != (targets is None):
            raise ValueError("it has to have either classes, or targets with a normalisation")
        if targets is not None:
            if not len(targets.mean) == len(targets.std) == len(self.target_names):
                raise ValueError("its normalisation of targets is not of as many as it has")
            _check_possible(targets)

    def task(self, is_soft: bool = False) -> Task:
        """What the model has learned; ``is_soft`` says whether data for it has soft labels."""
        if self.target_normalisation is not None:
            return Regression(self.target_names, self.target_normalisation)
        return Classification(self.classes, is_soft)

    def has_outputs(self, names: Sequence[str]) -> bool:
        """Whether these are the model's classes, or its targets, in the same order."""
        return _as_stored(names) == _as_stored(self.classes or self.target_names)

    def check_data(self, dataset: Dataset) -> None:
        """Whether a data set has the model's image shape and classes, or numbers to predict.

        Raises:
            DataError: its images have another shape, or its classes are others or in another order,
                and so for numbers.
        """
        if dataset.image_shape != self.input_shape:
            raise DataError(
                f"the data has images of the shape {_sides(dataset.image_shape)}, and the model "
                f"takes {_sides(self.input_shape)}; give it the data that it was trained for"
            )
        theirs, ours = _as_stored(dataset.target_names), _as_stored(self.target_names)
        if theirs != ours:
            raise DataError(
                f"the data is about {listed(theirs) or 'classes'}, and the model predicts "
                f"{listed(ours) or 'classes'}; give it the data that it was trained for"
            )
        theirs, ours = _as_stored(dataset.classes), _as_stored(self.classes)
        if theirs == ours:
            return
        place, one, other = first_difference(theirs, ours)
        message = (
            f"the data has the classes {listed(theirs)}, and the model has {listed(ours)}; the "
            f"first that differs is number {place}, {one} in the data and {other} in the model"
        )
        for pair in look_alikes(set(theirs) - set(ours), set(ours) - set(theirs))[:1]:
            message += f"; {shown(pair[0])} and {shown(pair[1])} differ {how_they_differ(*pair)}"
        raise DataError(message)

    def check_same_training(self, other: ModelCard) -> None:
        """Whether another card describes the same data to train on, as far as cards describe it.

        Args:
            other: of the data at hand, which has this card's image shape and classes.

        Raises:
            DataError: it has another number of images, another normalisation, or other labels or
                images, or the same in another order.
        """
        if self.training_images not in (None, other.training_images):
            change = (
                f"the run began with {self.training_images} images to train on, and now there are "
                f"{other.training_images}"
            )
        elif self.normalisation != other.normalisation:
            before, now = _described(self.normalisation), _described(other.normalisation)
            change = f"the run began with training images of {before}, and now they have {now}"
        elif self.target_normalisation != other.target_normalisation:
            before, now = (
                _described(card.target_normalisation) if card.target_normalisation else "none"
                for card in (self, other)
            )
            change = f"the run began with targets of {before}, and now they have {now}"
        elif self.data not in (None, other.data):
            change = (
                "labels, images or their order, in the training or the test split, have changed "
                "since the run began"
            )
        else:
            return
        raise DataError(f"{change}; a run can only go on with the data that it began with")


def _check_possible(normalisation: Normalisation) -> None:
    mean, std = normalisation.mean, normalisation.std
    if not all(map(math.isfinite, (*mean, *std))) or min(std) <= 0.0:
        raise ValueError(f"its normalisation cannot be: mean {mean}, deviation {std}")


def _sides(shape: tuple[int, int, int]) -> str:
    return "×".join(map(str, shape))


def _described(normalisation: Normalisation) -> str:
    return f"mean {normalisation.mean} and deviation {normalisation.std}"


def _as_stored(classes: Sequence[str]) -> tuple[str, ...]:
    """Names as model.json can hold them, whatever Unicode form the file system gave them."""
    return tuple(shown(unicodedata.normalize("NFC", name)) for name in classes)
