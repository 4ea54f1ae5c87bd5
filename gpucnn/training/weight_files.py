"""Arrays to start from, as they are stored: in a run, in a checkpoint, or in a safetensors file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpucnn import files
from gpucnn.errors import CheckpointError, shortened
from gpucnn.paths import user_path
from gpucnn.processor import total_memory
from gpucnn.text import shown
from gpucnn.training.checkpoint import is_checkpoint_name
from gpucnn.training.model_card import ModelCard
from gpucnn.training.opened_checkpoint import open_checkpoint

_LARGEST_FILE = 1 << 32
_DTYPES = {"F32": np.float32, "F64": np.float64, "F16": np.float16, "BF16": np.uint16}
"""What is read, by safetensors' names. NumPy has no bfloat16: it is the upper half of a float32."""
_GROUPS = ("network/", "ema/")
"""What the names of a network's arrays begin with in a checkpoint; their averages come first."""


@dataclass(frozen=True)
class StoredArray:
    """An array of a file, as it is stored there.

    Attributes:
        dtype: by safetensors' name.
        shape: of the array.
        content: its bytes, in the order of the indices.
        axes: which of its axes are those of our layout, in order; None for all of them as they are.
    """

    dtype: str
    shape: tuple[int, ...]
    content: bytes | NDArray[Any]
    axes: tuple[int, ...] | None = None

    @property
    def own_shape(self) -> tuple[int, ...]:
        """The shape in our layout."""
        return self.shape if self.axes is None else tuple(self.shape[axis] for axis in self.axes)

    def numbers(self, dtype: DTypeLike) -> NDArray[Any]:
        """Its elements in our layout, as a network has them.

        Raises:
            ValueError: they are of a type that is not read, or not finite.
        """
        if self.dtype not in _DTYPES:
            raise ValueError(f"is {self.dtype}; what is read is {', '.join(_DTYPES)}")
        array = np.frombuffer(self.content, _DTYPES[self.dtype]).reshape(self.shape)
        if self.dtype == "BF16":
            array = (array.astype(np.uint32) << 16).view(np.float32)
        with np.errstate(over="ignore"):  # then it is not finite
            array = array if self.axes is None else array.transpose(self.axes)
            array = np.ascontiguousarray(array, dtype)
        if not np.isfinite(array).all():
            raise ValueError("has values that are not finite")
        return array


@dataclass(frozen=True)
class InitialWeights:
    """What a run starts from.

    Attributes:
        path: of the run folder or the file.
        sha256: of the file that has the arrays, in hexadecimal.
        arrays: by their names there.
        card: of the run that it is from; None if it is a file from elsewhere.
    """

    path: Path
    sha256: str
    arrays: Mapping[str, StoredArray]
    card: ModelCard | None = None


def open_weights(path: str) -> InitialWeights:
    """The weights of a run folder's best checkpoint, of another one of it, or of a file.

    Args:
        path: the folder, a file of its ``checkpoints``, or any other safetensors file.

    Raises:
        CheckpointError: none of these, or damaged.
    """
    place = user_path(path)
    if not os.path.lexists(place):
        raise CheckpointError(
            f"{shown(place)} is not there; to start from weights, give a run folder, a checkpoint "
            f"in one, or a safetensors file"
        )
    is_in_run = is_checkpoint_name(place.name) and place.parent.name == "checkpoints"
    if place.is_file() and not is_in_run:
        return _open_file(place)
    opened = open_checkpoint(place)
    arrays = {
        name: StoredArray(f"F{8 * array.itemsize}", array.shape, array)
        for name, array in opened.checkpoint.weights().items()
    }
    return InitialWeights(place, opened.checkpoint.sha256, arrays, opened.card)


def _open_file(path: Path) -> InitialWeights:
    from safetensors import SafetensorError, deserialize

    try:
        # Its arrays are copied once, so it takes twice its size.
        content = files.read_regular(path, min(_LARGEST_FILE, total_memory() // 2))
        entries = deserialize(content)  # type: ignore[no-untyped-call]
    except OSError as error:
        raise CheckpointError(f"{shown(path)}: cannot be read ({error.strerror})") from None
    except MemoryError:
        raise CheckpointError(
            f"{shown(path)}: cannot be read, because it does not fit into memory"
        ) from None
    except SafetensorError as error:
        raise CheckpointError(
            f"{shown(path)} is not a safetensors file, or is damaged: {shortened(str(error))}"
        ) from None
    stored = {name: StoredArray(e["dtype"], tuple(e["shape"]), e["data"]) for name, e in entries}
    arrays = stored
    for group in _GROUPS:  # of a checkpoint that was copied
        arrays = _without_prefix(stored, group) or arrays
    return InitialWeights(path, hashlib.sha256(content).hexdigest(), arrays)


def _without_prefix(arrays: Mapping[str, StoredArray], prefix: str) -> dict[str, StoredArray]:
    """Those whose names begin with a prefix, by the rest of the names."""
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
