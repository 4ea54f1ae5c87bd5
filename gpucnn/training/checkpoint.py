"""Checkpoints: arrays in safetensors, the rest in a small JSON file that seals them.

``step-00001234.safetensors`` is written first, then ``step-00001234.json`` with its checksum and
one of its own; a checkpoint without a JSON file that verifies does not exist. Never a pickle.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.errors import CheckpointError
from gpucnn.training.files import write_atomically

_FORMAT = 1
_NAME = re.compile(r"step-([0-9]{8}|[1-9][0-9]{8,})\.(json|safetensors)")
"""A checkpoint's files. Whatever else lies in the folder is not ours, and is left alone."""


@dataclass
class Progress:
    """Where a run is. Together with the arrays, all that a resume needs.

    Attributes:
        step: training steps taken.
        epoch: epochs finished.
        batch: batches taken in the epoch at hand.
        loss_sum, correct: totals over the epoch at hand.
        best_accuracy, best_step: of the best validation so far; -1 before the first.
        seconds: of training so far, for display.
        metrics_bytes: the length of metrics.jsonl that belongs to this state.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    loss_sum: float = 0.0
    correct: float = 0.0
    best_accuracy: float = -1.0
    best_step: int = -1
    seconds: float = 0.0
    metrics_bytes: int = 0


@dataclass(frozen=True)
class Checkpoint:
    """A state of a run: its arrays by name, and its progress."""

    arrays: Mapping[str, NDArray[Any]]
    progress: Progress

    def group(self, name: str) -> dict[str, NDArray[Any]]:
        """The arrays whose names begin with ``name/``, without that."""
        prefix = f"{name}/"
        return {
            key.removeprefix(prefix): value
            for key, value in self.arrays.items()
            if key.startswith(prefix)
        }


class CheckpointFolder:
    """The checkpoints of a run: the newest two, and the best.

    Args:
        folder: where they are.
        report: is told, in a sentence, of each damaged checkpoint that is passed over.
    """

    keep = 2

    def __init__(self, folder: Path, report: Callable[[str], None]) -> None:
        self.folder = folder
        self._report = report

    def save(self, checkpoint: Checkpoint) -> None:
        """Writes a checkpoint, verifies it, and only then deletes those no longer wanted.

        Raises:
            CheckpointError: it cannot be written; what was there before stays.
        """
        from safetensors.numpy import save

        # safetensors writes a non-contiguous array's bytes in the wrong order, in silence.
        arrays = {name: np.ascontiguousarray(a) for name, a in checkpoint.arrays.items()}
        content = save(arrays)
        step = checkpoint.progress.step
        write_atomically(self._path(step, ".safetensors"), content)
        seal = {
            "format": _FORMAT,
            "arrays": {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)},
            "progress": asdict(checkpoint.progress),
        }
        sealed = {**seal, "sha256": _checksum(seal)}
        write_atomically(self._path(step, ".json"), json.dumps(sealed, indent=1).encode())
        self.read(step)
        self._delete_old(step, checkpoint.progress.best_step)

    def _delete_old(self, newest: int, best_step: int) -> None:
        # Later ones than the newest are damaged and were passed over: they must not count.
        for step in [step for step in self.steps() if step <= newest][: -self.keep]:
            if step != best_step:
                self._path(step, ".json").unlink(missing_ok=True)
        for step in set(self._steps_with("safetensors")) - set(self.steps()):
            self._path(step, ".safetensors").unlink(missing_ok=True)

    def steps(self) -> list[int]:
        """The steps of which there is a checkpoint, verified or not, in order."""
        return sorted(self._steps_with("json"))

    def _steps_with(self, ending: str) -> list[int]:
        found = (_NAME.fullmatch(path.name) for path in self.folder.glob("step-*"))
        return [int(match[1]) for match in found if match and match[2] == ending]

    def newest(self) -> Checkpoint:
        """The newest checkpoint that verifies; reports each one passed over.

        Raises:
            CheckpointError: there is none.
        """
        for step in reversed(self.steps()):
            try:
                return self.read(step)
            except CheckpointError as error:
                self._report(f"passed over a checkpoint: {error}")
        raise CheckpointError(
            f"{self.folder}: there is no checkpoint that can be used; train again, in a new folder"
        )

    def best(self) -> Checkpoint:
        """The best checkpoint by validation; the newest where nothing was held out for that.

        Raises:
            CheckpointError: there is none that verifies.
        """
        newest = self.newest()
        if newest.progress.best_step in (-1, newest.progress.step):
            return newest
        try:
            return self.read(newest.progress.best_step)
        except CheckpointError as error:
            self._report(f"the best checkpoint cannot be used, the newest is: {error}")
            return newest

    def read(self, step: int) -> Checkpoint:
        """The checkpoint of one step, verified.

        Raises:
            CheckpointError: a file is missing, damaged, or of another format.
        """
        return read_checkpoint(self._path(step, ".json"))

    def _path(self, step: int, suffix: str) -> Path:
        return self.folder / f"step-{step:08d}{suffix}"


def is_checkpoint_name(name: str) -> bool:
    """Whether a checkpoint has a file of this name."""
    return _NAME.fullmatch(name) is not None


def read_checkpoint(path: Path) -> Checkpoint:
    """Reads and verifies a checkpoint by either of its two files.

    Raises:
        CheckpointError: a file is missing, damaged, or of another format.
    """
    seal_path, arrays_path = path.with_suffix(".json"), path.with_suffix(".safetensors")
    seal = _read_seal(seal_path)
    content = _read(arrays_path)
    expected = seal["arrays"]
    if len(content) != expected["bytes"]:
        raise CheckpointError(
            f"{arrays_path} is damaged: {len(content)} bytes instead of {expected['bytes']}"
        )
    if hashlib.sha256(content).hexdigest() != expected["sha256"]:
        raise CheckpointError(f"{arrays_path} is damaged: its checksum does not match")
    from safetensors.numpy import load

    return Checkpoint(load(content), Progress(**seal["progress"]))


def _read_seal(path: Path) -> dict[str, Any]:
    try:
        sealed = json.loads(_read(path))
        checksum = sealed.pop("sha256")
        intact = checksum == _checksum(sealed)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        intact = False
    if not intact:
        raise CheckpointError(f"{path} is damaged: its checksum does not match")
    wanted = {field.name for field in fields(Progress)}
    if sealed["format"] != _FORMAT or set(sealed["progress"]) != wanted:
        raise CheckpointError(
            f"{path} has format {sealed['format']}, this version reads {_FORMAT}; use the version "
            f"of gpucnn that made it"
        )
    return dict(sealed)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there is no such checkpoint") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from None


def _checksum(seal: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(seal, sort_keys=True).encode()).hexdigest()
