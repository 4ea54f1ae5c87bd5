"""What a run writes: metrics, checkpoints, the report, and the last step if an error ends it."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType

from gpucnn.config_tables import Cadence
from gpucnn.errors import GpucnnError, NonFiniteError
from gpucnn.text import shown
from gpucnn.training.run_folder import RunFolder
from gpucnn.training.signals import Interrupted, StopOnSignal
from gpucnn.training.state import TrainingState
from gpucnn.training.task import Evaluation

SAVED = "a checkpoint was saved. "

_ROW_STEPS = 50
"""Steps between two rows of metrics.jsonl, besides those at the ends of epochs."""
_REPORT = "report.json"


class RunRecorder:
    """Keeps a run's folder up to date; without a folder it only measures the time.

    It is a context manager around a run: an error that leaves it gets a note that says what was
    saved and how to continue, and the folder is unlocked.

    Args:
        state: of the run.
        cadence: how often checkpoints are due.

    Attributes:
        run: the run folder; None if nothing is kept.
        resume_options: further options of the command that resumes the run.
        outcome: what is saved of the training, for messages about an error.
    """

    def __init__(self, state: TrainingState, cadence: Cadence) -> None:
        self._state, self._cadence = state, cadence
        self.run: RunFolder | None = None
        self.resume_options = ""
        self.outcome = ""
        self._metrics_bytes: int | None = None
        self._seconds_before, self._since = 0.0, time.perf_counter()
        self._saved_at = self._since

    def __enter__(self) -> RunRecorder:
        """Starts the clock, and removes rows of metrics that are about to be written again."""
        progress = self._state.progress
        self.outcome = SAVED if progress.step else "no step was taken. "
        self._seconds_before, self._since = progress.seconds, time.perf_counter()
        self._saved_at = self._since
        if self.run is not None:
            self.run.truncate_metrics(progress.metrics_bytes)
        self._metrics_bytes = None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Adds the note, and unlocks the folder."""
        if self.run is None:
            return
        if error is not None:
            error.add_note(self.outcome + self._advice(error, self.run))
        self.run.unlock()

    def _advice(self, error: BaseException, run: RunFolder) -> str:
        if isinstance(error, NonFiniteError):
            return "A resumed run would end in the same way: train again with such a change"
        folder = shlex.quote(shown(run.path))
        return f"Go on with: gpucnn train --resume {folder}{self.resume_options}"

    def seconds(self) -> float:
        """Seconds of training so far."""
        return self._seconds_before + time.perf_counter() - self._since

    def log_epoch(
        self,
        means: Mapping[str, float | None],
        split: str,
        result: Evaluation,
        wait_share: float,
    ) -> dict[str, float | None]:
        """Appends the row of an epoch that is about to end, and returns it.

        Args:
            means: loss and measure over the epoch, by their keys.
            split: the name of what was evaluated.
            result: of the evaluation.
            wait_share: which share of the epoch's steps' time they waited for data.
        """
        row: dict[str, float | None] = {
            "epoch": self._state.progress.epoch + 1,
            "step": self._state.progress.step,
            **{f"train_{key}": value for key, value in means.items()},
            **{f"{split}_{key}": value for key, value in result.figures().items()},
            "wait_share": round(wait_share, 4),
            "seconds": round(self.seconds(), 3),
        }
        self.append(row)
        return row

    def is_row_due(self) -> bool:
        """Whether a row is due between those of epochs; never without a run folder."""
        progress = self._state.progress
        return self.run is not None and progress.batch > 0 and progress.step % _ROW_STEPS == 0

    def log_step(self, loss: float | None, learning_rate: float, wait_share: float) -> None:
        """Appends a row between those of epochs.

        Args:
            loss: the mean loss of the epoch so far.
            learning_rate: of the last step.
            wait_share: which share of the epoch's time so far its steps waited for data.
        """
        row = {"step": self._state.progress.step, "train_loss": loss}
        row |= {"learning_rate": learning_rate, "wait_share": round(wait_share, 4)}
        self.append(row)

    def append(self, row: Mapping[str, object]) -> None:
        """Adds a row to metrics.jsonl. Until ``keep_rows``, a resumed run writes it again."""
        if self.run is not None:
            self._metrics_bytes = self.run.append_metrics(row)

    def keep_rows(self) -> None:
        """Makes the rows appended so far a part of the state."""
        if self._metrics_bytes is not None:
            self._state.progress.metrics_bytes = self._metrics_bytes

    def write_report(self, result: Evaluation, names: Iterable[str]) -> None:
        """Writes the report of a finished run, if there is a run folder.

        Args:
            result: of the last evaluation.
            names: of the task's outputs.
        """
        if self.run is not None:
            self.run.write_json(_REPORT, result.as_json(names))

    def discard_report(self) -> None:
        """Removes the report of a run that goes on."""
        if self.run is not None:
            (self.run.path / _REPORT).unlink(missing_ok=True)

    def is_due(self) -> bool:
        """Whether the config asks for a checkpoint at this step."""
        every = self._cadence
        by_steps = every.every_steps and self._state.progress.step % every.every_steps == 0
        waited = time.perf_counter() - self._saved_at
        return bool(by_steps or (every.every_seconds and waited >= every.every_seconds))

    def save(self) -> None:
        """Saves a checkpoint of the state, if there is a run folder.

        Raises:
            NonFiniteError: the state is not finite.
            CheckpointError: the state is not whole, or the file cannot be written.
        """
        if self.run is None:
            return
        self._state.progress.seconds = self.seconds()
        checkpoint = self._state.checkpoint()
        self.run.sync_metrics()
        self.run.checkpoints.save(checkpoint)
        self._saved_at = time.perf_counter()


class Rescue:
    """A context manager around the training loop: whatever ends it, its last step is saved.

    If a signal has asked the run to stop, Interrupted is raised instead of another error, which may
    well be a result of that signal.

    Args:
        recorder: the run's, whose ``outcome`` is set.
        save: saves a checkpoint.
        stop: knows whether a signal has arrived.
    """

    def __init__(self, recorder: RunRecorder, save: Callable[[], None], stop: StopOnSignal) -> None:
        self._recorder, self._save, self._stop = recorder, save, stop

    def __enter__(self) -> Rescue:
        """Nothing to do."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Saves, unless the loop has finished."""
        if error is None:
            return
        if self._recorder.run is not None:
            self._recorder.outcome = self._saved(error)
        if not isinstance(error, Interrupted):
            self._stop.obey()

    def _saved(self, error: BaseException) -> str:
        try:
            self._save()
        except (GpucnnError, OSError, MemoryError) as failure:
            reason = f": {failure}" if str(failure) not in ("", str(error)) else ""
            return f"the last step could not be saved{reason}. "
        return SAVED
