"""The run folder: all that is needed to repeat, resume, evaluate or use a run.

config.json        the resolved config
environment.json   versions, device, commit
model.json         input shape, classes, normalisation, number of training images
metrics.jsonl      a line an epoch, and lines between
log.txt            what the run printed
checkpoints/       see ``checkpoint``
report.json        at the end: accuracy per class and confusion matrix
"""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import weakref
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from gpucnn.config import Config, apply_overrides
from gpucnn.errors import CheckpointError, ConfigError
from gpucnn.files import remove_unfinished, sync
from gpucnn.training.checkpoint import CheckpointFolder
from gpucnn.training.files import cannot_write, write_atomically
from gpucnn.training.model_card import ModelCard

_LOCK = "lock"
_CONFIG = "config.json"
_OTHER = "choose another folder by --run-dir (run_dir of a Trainer)"


class RunFolder:
    """A run's folder on disk.

    Args:
        path: the folder.
        report: is told of damaged checkpoints that are passed over.
    """

    def __init__(self, path: Path, report: Callable[[str], None] = print) -> None:
        self.path = path
        self.checkpoints = CheckpointFolder(path / "checkpoints", report)
        self._unlock: weakref.finalize[..., RunFolder] | None = None

    @classmethod
    def create(
        cls,
        path: Path,
        config: Config,
        environment: dict[str, Any],
        report: Callable[[str], None] = print,
    ) -> RunFolder:
        """A new folder with its config and environment, locked before anything is written there.

        Raises:
            CheckpointError: the folder exists and is not empty, or cannot be made.
        """
        run = cls(path, report)
        try:
            run._refuse_if_taken()
            path.mkdir(parents=True, exist_ok=True)
            run.lock()
            run._refuse_if_taken()  # by one that has come and gone since the look before
            run.checkpoints.folder.mkdir()
        except OSError as error:
            raise cannot_write(path, error) from None
        run.write_json(_CONFIG, config.tables)
        run.write_json("environment.json", environment)
        return run

    def _refuse_if_taken(self) -> None:
        """Looks for anything but a lock of our own."""
        path, own = self.path, {_LOCK} if self._unlock is not None else set()
        if not path.exists():
            return
        if not path.is_dir():
            raise CheckpointError(f"{path} exists already and is not a folder; {_OTHER}")
        if {entry.name for entry in path.iterdir()} - own:
            is_run = (path / _CONFIG).is_file()
            resume = f", or go on with that run: --resume {path} (Trainer.resume)" if is_run else ""
            raise CheckpointError(f"{path} exists already and is not empty; {_OTHER}{resume}")

    @classmethod
    def open(cls, path: Path, report: Callable[[str], None] = print) -> RunFolder:
        """A folder that a run made.

        Raises:
            CheckpointError: it is none.
        """
        if not (path / _CONFIG).is_file():
            what = (
                "is not a run folder (it has no config.json)" if path.exists() else "is not there"
            )
            raise CheckpointError(f"{path} {what}; give a folder that gpucnn train made")
        return cls(path, report)

    @staticmethod
    def make_next_free(parent: Path, name: str) -> Path:
        """Makes the folder ``parent/name-1``, or the next number that no one else has.

        Raises:
            CheckpointError: it cannot be made.
        """
        try:
            parent.mkdir(parents=True, exist_ok=True)
            for number in itertools.count(1):
                path = parent / f"{name}-{number}"
                with suppress(FileExistsError):
                    path.mkdir()
                    break
        except OSError as error:
            raise cannot_write(parent, error) from None
        return path

    def lock(self) -> None:
        """Keeps all others from training in this folder, until ``unlock`` or the process' end.

        Raises:
            CheckpointError: another one is doing so.
        """
        try:
            file = (self.path / _LOCK).open("a")
        except OSError as error:
            raise cannot_write(self.path / _LOCK, error) from None
        self._unlock = weakref.finalize(self, file.close)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.unlock()
            if not isinstance(error, BlockingIOError):
                raise cannot_write(self.path / _LOCK, error) from None
            raise CheckpointError(f"{self.path}: another process is training there") from None

    def unlock(self) -> None:
        """Lets others train in this folder; nothing to do where it was not locked."""
        if self._unlock is not None:
            self._unlock()

    def clean(self) -> None:
        """Deletes what a killed process left half written."""
        remove_unfinished(self.path)
        remove_unfinished(self.checkpoints.folder)

    def config(self, overrides: Iterable[str] = ()) -> Config:
        """The resolved config, with ``key=value`` overrides.

        Raises:
            CheckpointError: config.json is missing or damaged.
            ConfigError: an override cannot be.
        """
        tables = self.read_json(_CONFIG)
        try:
            Config(tables)
        except ConfigError as error:
            raise CheckpointError(f"{self.path / _CONFIG} is damaged: {error}") from None
        return Config(apply_overrides(tables, overrides))

    def card(self) -> ModelCard:
        """The model card."""
        path = self.path / "model.json"
        try:
            card = msgspec.convert(self.read_json("model.json"), ModelCard)
        except msgspec.ValidationError as error:
            raise CheckpointError(f"{path} is damaged: {error}") from None
        normalisation = card.normalisation
        if not len(normalisation.mean) == len(normalisation.std) == card.input_shape[2]:
            raise CheckpointError(f"{path} is damaged: its normalisation is not of its channels")
        return card

    def write_card(self, card: ModelCard) -> None:
        """Writes the model card."""
        self.write_json("model.json", asdict(card))

    def write_json(self, name: str, content: Any) -> None:
        """Writes a JSON file, atomically."""
        write_atomically(self.path / name, (json.dumps(content, indent=1) + "\n").encode())

    def read_json(self, name: str) -> dict[str, Any]:
        """Reads a JSON file; CheckpointError where it is missing or damaged."""
        path = self.path / name
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise CheckpointError(f"{path} is missing; the run folder is incomplete") from None
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from None
        except (ValueError, RecursionError):
            raise CheckpointError(f"{path} is damaged: it is not JSON") from None
        if not isinstance(content, dict):
            raise CheckpointError(f"{path} is damaged: it is not an object")
        return content

    def append_metrics(self, row: dict[str, Any]) -> int:
        """Adds a line to metrics.jsonl and returns its length then, in bytes."""
        return self._append("metrics.jsonl", json.dumps(row) + "\n")

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl; none where it is missing. CheckpointError where damaged."""
        path = self.path / "metrics.jsonl"
        if not path.exists():
            return []
        try:
            # What is behind the last line's end is being written, or never was to its end.
            lines = path.read_text(encoding="utf-8").split("\n")[:-1]
            return msgspec.convert([json.loads(line) for line in lines], list[dict[str, Any]])
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from None
        except (ValueError, RecursionError):
            raise CheckpointError(f"{path} is damaged: its lines are not JSON objects") from None

    def sync_metrics(self) -> None:
        """Makes metrics.jsonl durable: a checkpoint that knows its length must not outlast it."""
        path = self.path / "metrics.jsonl"
        if not path.exists():
            return
        try:
            sync(path)
            sync(self.path)
        except OSError as error:
            raise cannot_write(path, error) from None

    def truncate_metrics(self, length: int) -> None:
        """Cuts metrics.jsonl back to where a checkpoint was: what follows is about to be redone."""
        path = self.path / "metrics.jsonl"
        if path.exists() and path.stat().st_size > length:
            os.truncate(path, length)

    def append_log(self, text: str) -> None:
        """Adds to log.txt."""
        self._append("log.txt", text)

    def _append(self, name: str, text: str) -> int:
        path = self.path / name
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                return file.tell()
        except OSError as error:
            raise cannot_write(path, error) from None
