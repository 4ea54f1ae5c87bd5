"""Labels and numbers to predict, as a Python program gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.class_names import listed
from gpucnn.data.targets import check_targets
from gpucnn.errors import DataError, brief, shortened

_MOST_CLASSES = 1 << 20


@dataclass(frozen=True)
class Labels:
    """Labels, or numbers to predict, as ``Dataset`` has them."""

    labels: NDArray[np.int32]
    classes: tuple[str, ...]
    targets: NDArray[np.float32] | None
    target_names: tuple[str, ...]

    @classmethod
    def of(cls, given: NDArray[Any], classes: Sequence[str] | None) -> Labels:
        """Of an array (N,) of whole numbers, or (N, T) of floating-point numbers."""
        if classes is not None and len({*classes}) < len(classes):
            raise DataError(f"the classes {listed(map(str, classes))} have a name twice")
        if given.dtype.kind == "f":
            return cls._of_numbers(given.reshape(len(given), -1).astype(np.float32), classes)
        low, high = int(given.min()), int(given.max())
        if classes is None:
            if low < 0 or high >= _MOST_CLASSES:
                raise _out_of_range(given, f"below {_MOST_CLASSES:,}", _MOST_CLASSES)
            classes = [str(number) for number in range(high + 1)]
        elif low < 0 or high >= len(classes):
            allowed = f"up to {len(classes) - 1}, for there are {len(classes)} classes"
            raise _out_of_range(given, allowed, len(classes))
        return cls(given.astype(np.int32), tuple(map(str, classes)), None, ())

    @classmethod
    def _of_numbers(cls, values: NDArray[np.float32], classes: Sequence[str] | None) -> Labels:
        if classes is not None:
            if values.shape[1] != len(classes):
                raise DataError(
                    f"the soft labels have {values.shape[1]} columns; there are {len(classes)} "
                    f"classes"
                )
            check_targets(values, len(values), classes, ())
            return cls(values.argmax(axis=1).astype(np.int32), tuple(classes), values, ())
        count = values.shape[1]
        names = [f"target {number + 1}" for number in range(count)] if count > 1 else ["target"]
        check_targets(values, len(values), (), names)
        return cls(np.zeros(len(values), np.int32), (), values, tuple(names))


def _out_of_range(labels: NDArray[Any], allowed: str, classes: int) -> DataError:
    index = int(np.flatnonzero((labels < 0) | (labels >= classes))[0])
    return DataError(
        f"the label of image {index} is {labels[index]}; labels are whole numbers from 0 and "
        f"{allowed}"
    )


def label_array(labels: Any, count: int) -> NDArray[Any]:
    """Labels (N,) of whole numbers, or (N, T) of floating-point numbers."""
    try:
        array = np.asarray(labels)
    except (ValueError, TypeError) as error:
        raise DataError(f"the labels are no array ({shortened(str(error))})") from None
    described = f"the labels are {shortened(str(array.dtype))} {shortened(str(array.shape))}"
    if array.dtype.kind in "biu" and array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim not in (1, 2) or len(array) != count:
        raise DataError(f"{described}, for {count:,} images; give one for each image")
    if array.dtype.kind == "f":
        return array
    if array.dtype.kind not in "biu" or array.ndim != 1:
        raise DataError(
            f"{described}; give whole numbers (N,) for classes, or floating-point numbers (N, T) "
            f"to predict"
        )
    return array


def label_of(label: Any) -> NDArray[Any]:
    """A label as int64 (1,), or as float64 (T,)."""
    array = np.asarray(label)
    if array.dtype.kind in "biu" and array.size == 1:
        return array.reshape(1).astype(np.int64)
    if array.dtype.kind == "f" and array.ndim < 2 and array.size:
        return array.reshape(-1).astype(np.float64)
    raise DataError(
        f"has the label {brief(label)}; expected a whole number, or floating-point numbers to "
        f"predict"
    )
