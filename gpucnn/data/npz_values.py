"""What an npz file says of its images: classes, soft labels, or numbers to predict."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.array_file import ArrayFile, Header
from gpucnn.data.dataset import ArrayDataset
from gpucnn.data.targets import not_finite, not_shares
from gpucnn.errors import DataError, shortened
from gpucnn.text import shown

CLASSES, TARGET_NAMES = "classes", "target_names"
"""Arrays with names in them."""
_LONGEST_NAME = 1 << 10
_MOST_TARGETS = 10_000


def wrong_values(name: str, header: Header) -> str:
    """Why an array has neither labels nor targets, and what to do; empty if it has.

    Args:
        name: of the array, which says that it has labels, or targets, or (y_train) that it may have
            either.
        header: of the array.
    """
    dtype, shape = header.dtype, header.shape
    described = f"{name} is {shortened(str(dtype))} {shortened(str(shape))}"
    if len(shape) not in (1, 2):
        return f"{described}, but labels are (N,), and numbers to predict (N,) or (N, T)"
    columns = shape[1] if len(shape) == 2 else 1
    if _has_targets(name):
        if columns > _MOST_TARGETS:
            return f"{described}, but there may be {_MOST_TARGETS:,} numbers to predict at most"
        return "" if dtype.kind in "iuf" else f"{described}, but targets are numbers"
    if dtype.kind == "f" and (columns > 1 or _may_have_targets(name)):
        return ""
    if columns > 1:
        return (
            f"{described}, but a label is one whole number; if it has a column for each class, "
            f"save {name}.argmax(axis=1)"
        )
    if dtype.kind in "iu":
        return ""
    remedy = f"save {name}.astype(np.int64)"
    if dtype.kind == "f":
        remedy += ", or call it targets if it has numbers to predict"
    if dtype.kind in "US":
        remedy = f"save classes, labels = np.unique({name}, return_inverse=True)"
    return f"{described}, but labels are whole numbers; {remedy}"


def _has_targets(name: str) -> bool:
    return name.endswith("targets")


def _may_have_targets(name: str) -> bool:
    return name.startswith("y_")


@dataclass(frozen=True)
class Meaning:
    """What the values of a file's images mean.

    Attributes:
        classes: their names; empty in a regression.
        target_names: of the numbers to predict; empty if there are classes.
    """

    classes: tuple[str, ...] = ()
    target_names: tuple[str, ...] = ()

    @classmethod
    def of(cls, file: ArrayFile, name: str, values: NDArray[Any]) -> Meaning:
        """As the values of the images to train on have it.

        Floating-point numbers are targets if their array is called so, soft labels if it is called
        labels. In y_train they are soft labels if each row has the share of each class, and else
        targets.

        Args:
            file: that has the names.
            name: of the array of values, for messages.
            values: (N,) or (N, T).
        """
        columns = values.shape[1] if values.ndim == 2 else 1
        is_soft = values.dtype.kind == "f" and columns > 1 and not _has_targets(name)
        if is_soft and _may_have_targets(name) and CLASSES not in file.names:
            is_soft = bool(np.isfinite(values).all()) and not not_shares(values)
        if is_soft:
            own = _names(file, CLASSES, columns)
            return cls(classes=own or tuple(map(str, range(columns))))
        if _has_targets(name) or values.dtype.kind == "f":
            own = _names(file, TARGET_NAMES, columns)
            numbered = tuple(f"target_{number + 1}" for number in range(columns))
            return cls(target_names=own or (numbered if columns > 1 else ("target",)))
        return cls(classes=_class_names(file, name, values.reshape(-1)))

    def dataset(
        self, file: ArrayFile, name: str, images: NDArray[np.uint8], values: NDArray[Any]
    ) -> ArrayDataset:
        """Images with their values.

        Args:
            file, name: that have the values, for messages.
            images: (N, H, W, C).
            values: (N,) or (N, T).

        Raises:
            DataError: values that are out of range, not finite, or not the shares of classes.
        """
        if self.target_names or values.dtype.kind == "f":
            targets = self._targets(file, name, values)
            labels = targets.argmax(axis=1) if self.classes else np.zeros(len(targets))
            return ArrayDataset(
                images,
                labels.astype(np.int32),
                self.classes,
                targets=targets,
                target_names=self.target_names,
            )
        check_labels(file, name, values, len(self.classes))
        return ArrayDataset(images, values.reshape(-1).astype(np.int32), self.classes)

    def _targets(self, file: ArrayFile, name: str, values: NDArray[Any]) -> NDArray[np.float32]:
        names = self.target_names or self.classes
        targets = values.reshape(len(values), -1)
        if targets.shape[1] != len(names):
            raise DataError(
                f"{shown(file.path)}: {name} has {targets.shape[1]} columns, but the images to "
                f"train on have {len(names)}"
            )
        with np.errstate(over="ignore"):  # which is found next
            targets = np.ascontiguousarray(targets, np.float32)
        problem = not_finite(targets, names) or (self.classes and not_shares(targets))
        if problem:
            raise DataError(f"{shown(file.path)}: in {name}, {problem}")
        return targets


def _class_names(file: ArrayFile, name: str, labels: NDArray[np.integer]) -> tuple[str, ...]:
    """The names in the file; the numbers themselves if it has none.

    Args:
        file: with the names.
        name: of the labels' array, for messages.
        labels: of the images to train on, (N,).
    """
    if CLASSES not in file.names:
        if labels.max() >= len(labels):
            raise DataError(
                f"{shown(file.path)}: {name} has the label {labels.max()}, but there are "
                f"{len(labels):,} images; number the classes from 0 without gaps: save "
                f"np.unique({name}, return_inverse=True)[1]"
            )
        check_labels(file, name, labels, len(labels))
        return tuple(str(label) for label in range(int(labels.max()) + 1))
    names = _text(file, CLASSES, len(labels), "which is the number of images")
    check_labels(file, name, labels, len(names))
    return names


def _names(file: ArrayFile, name: str, count: int) -> tuple[str, ...]:
    """As many names as there are columns; none if the file has none."""
    if name not in file.names:
        return ()
    names = _text(file, name, count, "which is the number of columns")
    if len(names) != count:
        raise DataError(f"{shown(file.path)}: {name} has {len(names)} names for {count} columns")
    return names


def _text(file: ArrayFile, name: str, most: int, why: str) -> tuple[str, ...]:
    """Different names, from an array of text."""
    header = file.header(name)
    is_text = header.dtype.kind == "U" and header.dtype.itemsize <= _LONGEST_NAME
    if not is_text or len(header.shape) != 1 or header.shape[0] > most:
        raise DataError(
            f"{shown(file.path)}: {name} is {shortened(str(header.dtype))} "
            f"{shortened(str(header.shape))}, but it must be text (K,), with at most {most:,} "
            f"names, {why}"
        )
    text = file.read(name)
    codes = text.view(np.dtype(np.uint32).newbyteorder(header.dtype.byteorder))
    if codes.max() > sys.maxunicode:
        raise DataError(f"{shown(file.path)}: {name} has characters that do not exist")
    names: list[str] = text.tolist()
    if len({shown(each) for each in names}) < len(names) or "" in names:
        raise DataError(f"{shown(file.path)}: {name} has a name twice, or an empty one")
    return tuple(names)


def check_labels(file: ArrayFile, name: str, labels: NDArray[Any], classes: int) -> None:
    """Raises DataError for labels that are no whole numbers of these classes."""
    low, high = labels.min(), labels.max()
    if low < 0 or high >= classes:
        raise DataError(
            f"{shown(file.path)}: {name} has the label {low if low < 0 else high}, but those of "
            f"{classes:,} classes go from 0 to {classes - 1:,}"
        )
