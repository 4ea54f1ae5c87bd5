"""What is to be predicted besides classes: numbers, and soft labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.class_names import listed
from gpucnn.errors import DataError, ShapeError
from gpucnn.text import shown

_MOST_OFF = 1e-3
"""How far the shares of a soft label may be from a sum of 1: they may have been rounded."""


def one_hot(labels: NDArray[np.int32], classes: int) -> NDArray[np.float32]:
    """1 for the class of each label and 0 for the others, float32 (n, classes)."""
    rows = np.zeros((labels.size, classes), np.float32)
    rows[np.arange(labels.size), labels] = 1.0
    return rows


def mixed(
    labels: NDArray[np.int32],
    targets: NDArray[np.float32],
    partners: NDArray[np.int32],
    own_shares: NDArray[np.float32],
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Labels and targets of samples that are mixed with others of their batch.

    Args:
        labels: (n,).
        targets: (n, T): numbers, soft labels or ``one_hot``.
        partners: (n,), indices in the batch.
        own_shares: (n,), how much of a sample is its own.

    Returns:
        The labels of the larger shares, and the mixed targets.
    """
    share = own_shares[:, None]
    mixture = share * targets + (1.0 - share) * targets[partners]
    return np.where(own_shares >= 0.5, labels, labels[partners]), mixture.astype(np.float32)


def check_targets(
    targets: NDArray[Any] | None, count: int, classes: Sequence[str], names: Sequence[str]
) -> None:
    """Checks the numbers of a regression or, if there are classes, soft labels.

    Args:
        targets: float32 (count, T), T the number of names, or else of classes. They may be None if
            there are no names.
        count: of the images.
        classes: their names, of soft labels.
        names: of the numbers.

    Raises:
        ShapeError: another shape or dtype; or names of both.
        DataError: a number that is not finite; or a soft label that is not the shares of a whole.
    """
    if targets is None and not names:
        return
    if targets is None:
        raise ShapeError(f"there are no targets for the names {listed(names)}")
    if bool(classes) == bool(names):
        raise ShapeError("targets have either classes or names of numbers, and not both")
    shape = (count, len(names or classes))
    if targets.dtype != np.float32 or targets.shape != shape:
        raise ShapeError(
            f"targets are {targets.dtype} {targets.shape}; expected float32 {shape} for "
            f"{count} images and {len(names or classes)} {'numbers' if names else 'classes'}"
        )
    if problem := not_finite(targets, names or classes):
        raise DataError(problem)
    if classes and (problem := not_shares(targets)):
        raise DataError(problem)


def not_finite(targets: NDArray[Any], names: Sequence[str]) -> str:
    """Which number of which image is not finite, and what to do about it; empty if none is."""
    wrong = np.argwhere(~np.isfinite(targets))
    if not wrong.size:
        return ""
    row, column = wrong[0].tolist()
    return (
        f'the target "{shown(names[column])}" of image {row} is {targets[row, column]}; targets '
        f"are finite numbers: correct it, or leave the image out"
    )


def not_shares(labels: NDArray[Any]) -> str:
    """Which row is not the shares of a whole, and what to do about it; empty if all are.

    Args:
        labels: (N, K), finite.
    """
    sums = labels.sum(axis=1, dtype=np.float64)
    wrong = np.flatnonzero((labels.min(axis=1) < 0) | (abs(sums - 1) > _MOST_OFF))
    if not wrong.size:
        return ""
    row = int(wrong[0])
    return (
        f"the soft label of image {row} has values from {labels[row].min():g} on and the sum "
        f"{sums[row]:g}; they must be 0 or more, with a sum of 1: divide each row by its sum"
    )
