"""The run folder: all that is needed to repeat, resume, evaluate or use a run.

config.json        the resolved config; once it is complete, the run has begun
config.toml        if the config was made for the data: as it was made, with comments
environment.json   versions, device, commit
model.json         input shape, classes or targets, normalisation, what the training split was
metrics.jsonl      lines at the ends of epochs, and lines between
log.txt            what the run printed
checkpoints/       see ``checkpoint``
report.json        at the end: accuracy by class and the confusion matrix; of a regression, R²
lock               held by the process that trains here

config.json, model.json and the checkpoints are sealed (``seal``).
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import secrets
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from gpucnn.config import Config, apply_overrides, with_plugins_allowed
from gpucnn.errors import CheckpointError, ConfigError
from gpucnn.files import is_unfinished, open_for_writing, open_regular, remove_unfinished, sync
from gpucnn.json_text import json_text, parse_json
from gpucnn.text import shown, warn_once
from gpucnn.training import run_files
from gpucnn.training.checkpoint import CheckpointFolder
from gpucnn.training.model_card import ModelCard
from gpucnn.training.seal import read_json, seal, unseal

_LOCK, _CHECKPOINTS = "lock", "checkpoints"
_CONFIG, _CARD, _ENVIRONMENT = "config.json", "model.json", "environment.json"
_METRICS = "metrics.jsonl"
_OTHER = "choose another folder by --run-dir (run_dir of a Trainer)"
_CANNOT_LOCK = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOLCK, errno.EINVAL)
"""What flock answers on a file system without locks."""
_LARGEST_JSON = 1 << 26
"""Bytes: a confusion matrix of some thousand classes fits."""
_LONGEST_LINE = 1 << 16
"""Bytes of a line of metrics."""


class RunFolder:
    """A run's folder on disk.

    Args:
        path: the folder.
        report: receives a sentence about each checkpoint that is skipped.
        run: the identifier of the run, in its sealed files; None for runs of version 0.1.
    """

    def __init__(
        self, path: Path, report: Callable[[str], None] = print, run: str | None = None
    ) -> None:
        self.path = path
        self.checkpoints = CheckpointFolder(path / _CHECKPOINTS, report, run)
        self._run = run
        self._unlock: weakref.finalize[..., RunFolder] | None = None

    @classmethod
    def create(
        cls,
        path: Path,
        config: Config,
        environment: Mapping[str, object],
        card: ModelCard,
        report: Callable[[str], None] = print,
    ) -> RunFolder:
        """Begins a run in a folder that is new, empty, or has what a run left that never began.

        The folder is locked before anything is written. If the run cannot begin, what was made is
        removed again.

        Raises:
            CheckpointError: the folder is in use, has something else in it, or cannot be made.
        """
        run = cls(path, report, secrets.token_hex(16))
        run.refuse_if_taken()
        made: list[Path] = []
        try:
            _make_folders(path, made)
            run.lock()
            run.refuse_if_taken()  # by another process that has come and gone since the first look
        except BaseException:
            run.unlock()
            _remove_if_empty(made)
            raise
        try:
            run._write_beginning(config, environment, card)
        except BaseException as error:
            # After a signal, a run whose config.json is complete can be resumed.
            if isinstance(error, CheckpointError) or not os.path.lexists(path / _CONFIG):
                run._remove_beginning()
                _remove_if_empty(made)
            run.unlock()
            raise
        return run

    @classmethod
    def create_numbered(
        cls,
        parent: Path,
        name: str,
        config: Config,
        environment: Mapping[str, object],
        card: ModelCard,
        report: Callable[[str], None] = print,
    ) -> RunFolder:
        """As ``create``, in ``parent/name-1`` or the next number that is free.

        Raises:
            CheckpointError: the folder cannot be made.
        """
        for number in itertools.count(1):
            path = parent / f"{name}-{number}"
            if os.path.lexists(path):
                continue
            with suppress(_TakenError):
                return cls.create(path, config, environment, card, report)
        raise AssertionError("numbers do not end")

    def _write_beginning(
        self, config: Config, environment: Mapping[str, object], card: ModelCard
    ) -> None:
        self.clean()
        self.write_config(config)
        self.complete_beginning(environment, card)

    def complete_beginning(self, environment: Mapping[str, object], card: ModelCard) -> None:
        """Writes what the beginning of a run writes after config.json, as far as it is missing.

        Raises:
            CheckpointError: it cannot be written.
        """
        folder = self.checkpoints.folder
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise run_files.cannot_write(folder, error) from None
        if not os.path.lexists(self.path / _ENVIRONMENT):
            self.write_json(_ENVIRONMENT, environment)
        if not self.has_card():
            self._write_sealed(_CARD, asdict(card))

    def _remove_beginning(self) -> None:
        """Removes what ``create`` has written, as far as the system lets it."""
        with suppress(OSError):
            remove_unfinished(self.path)
            for name in (_CONFIG, _ENVIRONMENT, _CARD, _LOCK):
                (self.path / name).unlink(missing_ok=True)
            self.checkpoints.folder.rmdir()

    def refuse_if_taken(self) -> None:
        """Refuses a folder with anything in it but what a run leaves that never began.

        Raises:
            CheckpointError: there is more, or something other than a folder.
        """
        path = self.path
        try:
            if not os.path.lexists(path):
                return
            if not path.is_dir():
                raise _TakenError(f"{shown(path)} exists already and is not a folder; {_OTHER}")
            if self._has_not_begun():
                return
        except OSError as error:
            raise run_files.cannot_write(path, error) from None
        is_run = os.path.lexists(path / _CONFIG)
        resume = f", or continue that run: --resume {shown(path)} (Trainer.resume)"
        raise _TakenError(
            f"{shown(path)} exists already and is not empty; {_OTHER}{resume if is_run else ''}"
        )

    def _has_not_begun(self) -> bool:
        """Whether there is nothing but what is made before config.json is complete."""
        return all(
            is_unfinished(entry.name)
            or (entry.name == _LOCK and not entry.lstat().st_size)
            or (entry.name == _CHECKPOINTS and entry.is_dir() and self.checkpoints.is_unused())
            for entry in self.path.iterdir()
        )

    @classmethod
    def open(cls, path: Path, report: Callable[[str], None] = print) -> RunFolder:
        """A folder that a run made.

        Raises:
            CheckpointError: it is none, or its config.json is damaged.
        """
        if not os.path.lexists(path / _CONFIG):
            raise cls(path)._why_not_a_run()
        sealed = unseal(path / _CONFIG, _LARGEST_JSON, may_lack_seal=True)
        return cls(path, report, sealed.run)

    def _why_not_a_run(self) -> CheckpointError:
        path = self.path
        if not path.exists():
            what = "is not there; give a folder that gpucnn train made"
        elif path.is_dir() and self._has_not_begun():
            what = (
                f"has no run in it: nothing was started there before it was stopped. Start it: "
                f"gpucnn train CONFIG --run-dir {shown(path)}"
            )
        else:
            what = (
                "is not a run folder (it has no config.json); give a folder that gpucnn train made"
            )
        return CheckpointError(f"{shown(path)} {what}")

    def has_begun(self) -> bool:
        """Whether there is, or was, a state to resume from; if not, a run begins at step 0.

        Raises:
            CheckpointError: the folder of checkpoints cannot be listed.
        """
        path = self.path / _METRICS
        has_metrics = os.path.lexists(path) and path.lstat().st_size > 0
        return has_metrics or bool(self.checkpoints.steps())

    def has_card(self) -> bool:
        """Whether model.json is there: it is written right after config.json."""
        return os.path.lexists(self.path / _CARD)

    def lock(self) -> None:
        """Keeps all others from training in this folder, until ``unlock`` or the process' end.

        Warns once, and goes on, if the file system has no locks.

        Raises:
            CheckpointError: another one is doing so.
        """
        path = self.path / _LOCK
        try:
            file: BinaryIO = open_for_writing(path)
        except OSError as error:
            raise run_files.cannot_write(path, error) from None
        self._unlock = weakref.finalize(self, file.close)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _CANNOT_LOCK:
                warn_once(
                    f"{shown(path)} cannot be locked ({error.strerror}): take care that no other "
                    f"process trains in this folder"
                )
                return
            self.unlock()
            if not isinstance(error, BlockingIOError):
                raise run_files.cannot_write(path, error) from None
            raise _TakenError(f"{shown(self.path)}: another process is training there") from None

    def unlock(self) -> None:
        """Lets others train in this folder; nothing to do if it was not locked."""
        if self._unlock is not None:
            self._unlock()

    def clean(self) -> None:
        """Deletes the temporary files of a killed process."""
        for folder in (self.path, self.checkpoints.folder):
            try:
                remove_unfinished(folder)
            except OSError as error:
                raise run_files.cannot_write(folder, error) from None

    def config(self, overrides: Iterable[str] = ()) -> Config:
        """The resolved config, with ``key=value`` overrides.

        Raises:
            CheckpointError: config.json is missing or damaged.
            ConfigError: an override cannot be.
            PluginError: it needs a plugin that is not there, or must be allowed first.
        """
        path = self.path / _CONFIG
        tables = unseal(path, _LARGEST_JSON, may_lack_seal=True).content
        try:
            tables = with_plugins_allowed(tables)
            Config(tables)
        except ConfigError as error:
            raise CheckpointError(f"{shown(path)} is damaged: {error}") from None
        return Config(apply_overrides(tables, overrides))

    def write_config(self, config: Config) -> None:
        """Writes the resolved config, atomically and sealed."""
        self._write_sealed(_CONFIG, config.tables)

    def card(self) -> ModelCard:
        """The model card.

        Raises:
            CheckpointError: model.json is missing, damaged, or of another run.
        """
        path = self.path / _CARD
        sealed = unseal(path, _LARGEST_JSON, may_lack_seal=True)
        if sealed.run != self._run:
            raise CheckpointError(
                f"{shown(path)} belongs to another run than the {_CONFIG} next to it, or its seal "
                f"was removed; restore both from a copy"
            )
        try:
            return msgspec.convert(sealed.content, ModelCard)
        except msgspec.ValidationError as error:
            raise CheckpointError(f"{shown(path)} is damaged: {shown(str(error))}") from None

    def _write_sealed(self, name: str, content: Mapping[str, object]) -> None:
        run_files.write(self.path / name, seal(content, self._run))

    def plugins(self) -> dict[str, Any]:
        """What environment.json says of the plugins that the run began with, by name."""
        if not os.path.lexists(self.path / _ENVIRONMENT):
            return {}
        began_with = self.read_json(_ENVIRONMENT).get("plugins")
        return began_with if isinstance(began_with, dict) else {}

    def write_json(self, name: str, content: object) -> None:
        """Writes a JSON file, atomically."""
        run_files.write(self.path / name, (json_text(content, indent=1) + "\n").encode())

    def write_first_config(self, text: str, overrides: Iterable[str]) -> None:
        """Keeps a config that was made for the data, with its comments, as a file to start from.

        Args:
            text: of the config.
            overrides: ``key=value``, what was changed for this run; they are added as comments.

        Raises:
            CheckpointError: it cannot be written.
        """
        changes = "".join(f"# changed in this run: {shown(one)}\n" for one in overrides)
        run_files.write(self.path / "config.toml", (text + changes).encode("utf-8"))

    def read_json(self, name: str) -> dict[str, Any]:
        """Reads a JSON file; CheckpointError if it is missing or damaged."""
        return read_json(self.path / name, _LARGEST_JSON)

    def append_metrics(self, row: Mapping[str, object]) -> int:
        """Adds a line to metrics.jsonl and returns its length then, in bytes."""
        return run_files.append(self.path / _METRICS, (json_text(row) + "\n").encode())

    def metrics(self) -> Iterator[dict[str, Any]]:
        """The lines of metrics.jsonl that are complete; none if it is missing.

        Raises:
            CheckpointError: while iterating, for a damaged line, with its number.
        """
        path = self.path / _METRICS
        if not os.path.lexists(path):
            return
        try:
            with open_regular(path, follow_links=False) as file:
                for number in itertools.count(1):
                    line = file.readline(_LONGEST_LINE)
                    # A last line without an end is still being written, or never was completed.
                    if not line.endswith(b"\n") and len(line) < _LONGEST_LINE:
                        return
                    yield _row(line, f"{shown(path)}, line {number}")
        except OSError as error:
            raise run_files.cannot_read(path, error) from None

    def sync_metrics(self) -> None:
        """Makes metrics.jsonl durable: a checkpoint that knows its length must not outlast it."""
        path = self.path / _METRICS
        if not os.path.lexists(path):
            return
        try:
            sync(path)
            sync(self.path)
        except OSError as error:
            raise run_files.cannot_write(path, error) from None

    def truncate_metrics(self, length: int) -> None:
        """Cuts metrics.jsonl back to where a checkpoint was: what follows is about to be redone."""
        run_files.truncate_lines(self.path / _METRICS, length, _LONGEST_LINE)

    def append_log(self, text: str) -> None:
        """Adds to log.txt."""
        run_files.append(self.path / "log.txt", text.encode("utf-8", "backslashreplace"))


class _TakenError(CheckpointError):
    """A folder that has something in it already, or in which another process is training."""


def _make_folders(path: Path, made: list[Path]) -> None:
    """Makes a folder and those above it; those that were missing are added to ``made``."""
    try:
        chain = [path, *path.parents]
        missing = list(itertools.takewhile(lambda folder: not folder.exists(), chain))
        for folder in reversed(missing):
            with suppress(FileExistsError):
                folder.mkdir()
                made.append(folder)
    except OSError as error:
        raise run_files.cannot_write(path, error) from None


def _remove_if_empty(folders: list[Path]) -> None:
    """Removes folders, outermost first in the list, unless something is in them."""
    with suppress(OSError):
        for folder in reversed(folders):
            folder.rmdir()


def _row(line: bytes, place: str) -> dict[str, Any]:
    try:
        row = parse_json(line, may_have_nan=True)  # version 0.1 wrote NaN
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise CheckpointError(f"{place} is damaged: it is not a JSON object; remove that line")
    return row
