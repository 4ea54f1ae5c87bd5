"""Checkpoints: arrays in safetensors, the rest in a small JSON file that seals them.

``step-00001234.safetensors`` is written first, then ``step-00001234.json`` with its checksum and
one of its own; without a JSON file that verifies there is no checkpoint. Never a pickle.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from gpucnn.errors import CheckpointError, ShapeError
from gpucnn.files import is_unfinished, kind_of
from gpucnn.text import shown
from gpucnn.training import run_files
from gpucnn.training.seal import seal, unseal

_NAME = re.compile(r"step-([0-9]{8}|[1-9][0-9]{8,})\.(json|safetensors)")
"""A checkpoint's files. Whatever else is in the folder is not ours and is left alone."""
_LARGEST_SEAL = 1 << 16
_LATER_FIELDS = {"reference", "stale_epochs"}
"""Of Progress: those that early checkpoints lack."""
_DTYPES = {"F32": np.float32, "F64": np.float64}
"""What networks and optimizers have, by safetensors' names."""

_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
_OrMinusOne: TypeAlias = Annotated[int, msgspec.Meta(ge=-1)]


@dataclass
class Progress:
    """Where a run is. Together with the arrays, all that a resume needs.

    Attributes:
        step: training steps taken.
        epoch: epochs finished.
        batch: steps taken in the epoch at hand, of one batch each or of several.
        loss_sum, correct: totals over the epoch at hand, as ``TrainingStep`` has them.
        best_accuracy, best_step: of the best validation so far: its score, which is the accuracy
            or, in a regression, the loss with the other sign; and its step. -1 before the first.
        seconds: of training so far, for display.
        metrics_bytes: the length of metrics.jsonl that belongs to this state.
        reference: the validation's score when it last improved as ``training.min_delta`` asks for;
            -1 before.
        stale_epochs: epochs since then.
    """

    step: _Count = 0
    epoch: _Count = 0
    batch: _Count = 0
    loss_sum: float = 0.0
    correct: float = 0.0
    best_accuracy: float = -1.0
    best_step: _OrMinusOne = -1
    seconds: float = 0.0
    metrics_bytes: _Count = 0
    reference: float = -1.0
    stale_epochs: _Count = 0

    def take_validation(self, score: float, min_delta: float) -> None:
        """Takes note of the validation after an epoch, before the epoch is counted.

        Args:
            score: on the validation split.
            min_delta: what is no improvement worth waiting for, if it is not exceeded.
        """
        is_first, none = self.best_step < 0, -math.inf
        if score > (none if is_first else self.best_accuracy):
            self.best_accuracy, self.best_step = score, self.step
        if score > (none if is_first else self.reference + min_delta):
            self.reference, self.stale_epochs = score, 0
        else:
            self.stale_epochs += 1


@dataclass(frozen=True)
class Checkpoint:
    """A state of a run.

    Attributes:
        arrays: by name, "network/...", "optimizer/...", and "ema/..." if averages are kept.
        progress: where the run was.
        path: of the seal, if it was read from disk.
        sha256: of the file of arrays, in hexadecimal, if it was read from disk.
    """

    arrays: Mapping[str, NDArray[Any]]
    progress: Progress
    path: Path | None = None
    sha256: str = ""

    def group(self, name: str) -> dict[str, NDArray[Any]]:
        """The arrays whose names begin with ``name/``, without that."""
        prefix = f"{name}/"
        return {
            key.removeprefix(prefix): value
            for key, value in self.arrays.items()
            if key.startswith(prefix)
        }

    def weights(self, raw: bool = False) -> dict[str, NDArray[Any]]:
        """The network's arrays to use: their averages, if the run keeps them and not ``raw``."""
        averages = {} if raw else self.group("ema")
        return averages or self.group("network")

    @contextmanager
    def named_in_errors(self) -> Iterator[None]:
        """Names the file in a CheckpointError or ShapeError that is raised within.

        For use around what builds the model and takes the arrays: these may be of another model,
        and the model may not take the images that its card describes.

        Raises:
            CheckpointError: instead of either.
        """
        try:
            yield
        except (CheckpointError, ShapeError) as error:
            if self.path is None:
                raise
            raise CheckpointError(f"{shown(self.path)} cannot be used: {error}") from None

    def check_place(self, epochs: int, steps_per_epoch: int) -> None:
        """Raises CheckpointError if a run of that length does not have this place."""
        progress = self.progress
        is_in_run = progress.epoch < epochs or (progress.epoch == epochs and not progress.batch)
        step = progress.epoch * steps_per_epoch + progress.batch
        if not is_in_run or progress.batch > steps_per_epoch or progress.step != step:
            raise CheckpointError(
                f"step {progress.step} is not after batch {progress.batch} of epoch "
                f"{progress.epoch + 1}: this run has {epochs} epochs of {steps_per_epoch} steps"
            )


class _SealedArrays(msgspec.Struct, forbid_unknown_fields=True):
    """What a seal says of the file of arrays."""

    sha256: str
    bytes: _Count


class CheckpointFolder:
    """The checkpoints of a run: the newest two, and the best.

    Args:
        folder: where they are.
        report: receives a sentence about each checkpoint that is skipped.
        run: the identifier of the run, which its checkpoints have too.
    """

    keep = 2

    def __init__(self, folder: Path, report: Callable[[str], None], run: str | None = None) -> None:
        self.folder = folder
        self._report = report
        self._run = run

    def save(self, checkpoint: Checkpoint) -> None:
        """Writes a checkpoint, verifies it, and only then deletes those no longer wanted.

        Raises:
            CheckpointError: it cannot be written; what was there before stays.
        """
        from safetensors.numpy import save

        # safetensors silently writes a non-contiguous array's bytes in the wrong order.
        arrays = {name: np.ascontiguousarray(a) for name, a in checkpoint.arrays.items()}
        content = save(arrays)
        step = checkpoint.progress.step
        run_files.write(self._path(step, ".safetensors"), content)
        described = {
            "arrays": {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)},
            "progress": asdict(checkpoint.progress),
        }
        run_files.write(self._path(step, ".json"), seal(described, self._run))
        self.read(step)
        self._delete_old(step, checkpoint.progress.best_step)

    def _delete_old(self, newest: int, best_step: int) -> None:
        # Later ones than the newest are damaged and were skipped: they must not count.
        for step in [step for step in self.steps() if step <= newest][: -self.keep]:
            if step != best_step:
                self._delete(step, ".json")
        for step in set(self._steps_with("safetensors")) - set(self.steps()):
            self._delete(step, ".safetensors")

    def discard_after(self, step: int) -> None:
        """Deletes all checkpoints of later steps, because the run is about to take them again.

        Raises:
            CheckpointError: one cannot be deleted.
        """
        for suffix in (".json", ".safetensors"):
            for later in self._steps_with(suffix[1:]):
                if later > step:
                    self._delete(later, suffix)

    def _delete(self, step: int, suffix: str) -> None:
        path = self._path(step, suffix)
        try:
            if path.is_symlink() or not path.is_dir():
                path.unlink(missing_ok=True)
        except OSError as error:
            raise run_files.cannot_write(path, error) from None

    def steps(self) -> list[int]:
        """The steps with a checkpoint, verified or not, in order.

        Raises:
            CheckpointError: the folder cannot be listed.
        """
        return sorted(self._steps_with("json"))

    def _steps_with(self, ending: str) -> list[int]:
        found = (_NAME.fullmatch(name) for name in self._names())
        return [int(match[1]) for match in found if match and match[2] == ending]

    def _names(self) -> list[str]:
        if self.folder.is_symlink():
            raise CheckpointError(
                f"{shown(self.folder)} is a symbolic link; in a run folder links are not followed: "
                f"replace it by the folder itself"
            )
        try:
            return [path.name for path in self.folder.iterdir()]
        except FileNotFoundError:
            return []
        except NotADirectoryError:
            kind = kind_of(self.folder) or "a file"
            raise CheckpointError(
                f"{shown(self.folder)} is {kind}, not a folder; restore the folder from a copy"
            ) from None
        except OSError as error:
            raise CheckpointError(
                f"{shown(self.folder)}: the checkpoints cannot be listed ({error.strerror}); check "
                f"the folder's permissions"
            ) from None

    def is_unused(self) -> bool:
        """Whether nothing was ever completed here: no file other than half-written ones.

        Raises:
            CheckpointError: the folder cannot be listed.
        """
        return all(is_unfinished(name) for name in self._names())

    def newest(self) -> Checkpoint:
        """The newest checkpoint that can be used; reports each one that is skipped.

        Raises:
            CheckpointError: there is none.
        """
        for step in reversed(self.steps()):
            try:
                return self.read(step)
            except CheckpointError as error:
                self._report(f"skipped a checkpoint: {error}")
        raise CheckpointError(
            f"{shown(self.folder)}: there is no checkpoint that can be used; restore one from a "
            f"copy, or train again in a new folder"
        )

    def best(self) -> Checkpoint:
        """The best checkpoint by validation; the newest if nothing was held out for that.

        Raises:
            CheckpointError: there is none that can be used.
        """
        newest = self.newest()
        if newest.progress.best_step in (-1, newest.progress.step):
            return newest
        try:
            return self.read(newest.progress.best_step)
        except CheckpointError as error:
            self._report(f"the best checkpoint cannot be used, the newest is: {error}")
            return newest

    def at(self, step: int) -> Checkpoint:
        """The checkpoint of a step that the user chose.

        Raises:
            CheckpointError: there is none, with the steps that there are; or it cannot be used.
        """
        steps = self.steps()
        if step not in steps:
            there = ", ".join(map(str, steps)) or "none"
            raise CheckpointError(
                f"{shown(self.folder)}: there is no checkpoint of step {step}; there are: {there}"
            )
        return self.read(step)

    def read(self, step: int) -> Checkpoint:
        """The checkpoint of one step, verified.

        Raises:
            CheckpointError: a file is missing, damaged, of another format or of another run.
        """
        return self.read_file(self._path(step, ".json"))

    def read_file(self, path: Path) -> Checkpoint:
        """Reads and verifies a checkpoint of this run by either of its two files.

        Raises:
            CheckpointError: as ``read``.
        """
        seal_path, arrays_path = path.with_suffix(".json"), path.with_suffix(".safetensors")
        unsealed = unseal(seal_path, _LARGEST_SEAL)
        if unsealed.run != self._run:
            raise CheckpointError(
                f"{shown(seal_path)} belongs to another run than the config.json of this folder, "
                f"or that one's seal was removed; restore both from a copy"
            )
        try:
            progress, arrays = _described(unsealed.content)
        except ValueError as error:
            raise CheckpointError(f"{shown(seal_path)} cannot be used: {error}") from None
        name = _NAME.fullmatch(seal_path.name)
        if name and int(name[1]) != progress.step:
            raise CheckpointError(
                f"{shown(seal_path)} cannot be used: it holds step {progress.step}"
            )
        content = _arrays(arrays_path, arrays)
        return Checkpoint(content, progress, seal_path, arrays.sha256)

    def _path(self, step: int, suffix: str) -> Path:
        return self.folder / f"step-{step:08d}{suffix}"


def is_checkpoint_name(name: str) -> bool:
    """Whether a checkpoint has a file of this name."""
    return _NAME.fullmatch(name) is not None


def _described(content: Mapping[str, Any]) -> tuple[Progress, _SealedArrays]:
    """What a seal holds; ValueError says what is wrong with it."""
    known = {field.name for field in fields(Progress)}
    required = known - _LATER_FIELDS
    if content.keys() != {"arrays", "progress"}:
        raise ValueError(f"it has the keys {shown(', '.join(sorted(content)))[:100]}")
    given = content["progress"]
    if not isinstance(given, dict) or not required <= given.keys() <= known:
        raise ValueError("its progress lacks a key, or has one too many")
    try:
        progress = msgspec.convert(given, Progress)
        arrays = msgspec.convert(content["arrays"], _SealedArrays)
    except msgspec.ValidationError as error:
        raise ValueError(shown(str(error))) from None
    for field in fields(Progress):
        if not math.isfinite(getattr(progress, field.name)):
            raise ValueError(f"its {field.name} is not finite")
    if progress.best_step > progress.step:
        raise ValueError(f"its best step, {progress.best_step}, is after step {progress.step}")
    return progress, arrays


def _arrays(path: Path, sealed: _SealedArrays) -> dict[str, NDArray[Any]]:
    """The arrays in a file, if they are those that were sealed and can be computed with."""
    content = run_files.read(path, sealed.bytes)
    if len(content) != sealed.bytes:
        raise CheckpointError(
            f"{shown(path)} is damaged: {len(content)} bytes instead of {sealed.bytes}"
        )
    if hashlib.sha256(content).hexdigest() != sealed.sha256:
        raise CheckpointError(f"{shown(path)} is damaged: its checksum does not match")
    from safetensors import SafetensorError, deserialize

    try:
        entries = deserialize(content)  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise CheckpointError(f"{shown(path)} is not a safetensors file: {error}") from None
    arrays = {}
    for name, entry in entries:
        if entry["dtype"] not in _DTYPES:
            raise CheckpointError(
                f'{shown(path)}: the array "{shown(name)}" is {entry["dtype"]}; a run has '
                f"{' and '.join(_DTYPES)} only"
            )
        array = np.frombuffer(entry["data"], _DTYPES[entry["dtype"]]).reshape(entry["shape"])
        if not np.isfinite(array).all():
            raise CheckpointError(
                f'{shown(path)}: the array "{shown(name)}" has values that are not finite, because '
                f"the training diverged; nothing can go on from it"
            )
        arrays[name] = array
    return arrays
