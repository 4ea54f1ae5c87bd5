"""The training loop."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from gpucnn.backends import get_backend
from gpucnn.backends.base import Backend
from gpucnn.config import Config, check_resumable
from gpucnn.data import (
    Batch,
    BatchLoader,
    Dataset,
    DatasetPair,
    channel_statistics,
    in_memory,
    no_normalisation,
    validation_split,
)
from gpucnn.environment import describe
from gpucnn.errors import ConfigError
from gpucnn.layers import Network
from gpucnn.training.checkpoint import Checkpoint, Progress
from gpucnn.training.display import Display, epoch_header, epoch_line
from gpucnn.training.evaluation import Evaluation, evaluate
from gpucnn.training.input_pipeline import InputPipeline
from gpucnn.training.model_card import ModelCard
from gpucnn.training.rehearsal import rehearse_evaluation, rehearse_training
from gpucnn.training.resident import NearestImages, fits
from gpucnn.training.run_folder import RunFolder
from gpucnn.training.signals import Interrupted, StopOnSignal
from gpucnn.training.step import TrainingStep

_LOG_STEPS = 50
"""A line of metrics.jsonl every so many steps, besides those of epochs."""


class Trainer:
    """Trains the model of a config on its data.

    Args:
        config: what to train, on what, and how.
        backend: a backend, or the name of one; None as in ``get_backend``.
        run_dir: where to make the run folder; None to keep nothing on disk.
        data: the data set; None to read the one that the config names.
        display: where lines go; None prints nothing.

    Attributes:
        config, backend: as given.
        classes: the classes' names, in the order of the scores.
        loader: of the batches to train on; ``loader.dataset`` is the training split.
        validation: the split held out for choosing the best checkpoint; None without one.
        test: the test split.
        normalisation: mean and deviation of each channel of the training split.
        network, loss, optimizer, schedule: what the config describes.
        progress: where the run is.
        run: the run folder; None where nothing is kept.

    Raises:
        ConfigError: a config that does not fit the data.
        DataError: files that are missing or damaged.
        ShapeError: a model that does not fit the images or the classes.
        BackendError: a backend that cannot work here.
        CheckpointError: the run folder cannot be made, or is not empty.
    """

    def __init__(
        self,
        config: Config,
        backend: Backend | str | None = None,
        run_dir: str | Path | None = None,
        data: DatasetPair | None = None,
        display: Display | None = None,
    ) -> None:
        self.config = config
        self.display = display or Display(quiet=True)
        if not isinstance(backend, Backend):
            # Whoever gives a quiet display wants to read nothing, also not what "auto" takes.
            backend = get_backend(backend, quiet=display is not None and display.quiet)
        self.backend = backend
        data = data or config.load_data()
        self.classes = data.train.classes
        train, validation = validation_split(data.train, config.data.validation, config.seed)
        self.test = data.test
        if fits(self.backend, train):
            train = in_memory(train)  # read once, for the statistics and for the device
        self.validation: Dataset | None = validation if len(validation) else None
        self.normalisation = (
            channel_statistics(train)
            if config.data.normalise
            else no_normalisation(train.image_shape[2])
        )
        self._near = NearestImages(self.backend)
        self.loader = BatchLoader(
            self._near.of(train),
            config.training.batch_size,
            config.seed,
            config.build_augmentation(),
        )
        self.network = Network(
            config.build_model(),
            train.image_shape,
            len(self.classes),
            self.backend,
            config.seed,
            config.training.fuse,
        )
        self.network.train()
        self.optimizer = config.build_optimizer()
        self.optimizer.attach(self.network)
        self.schedule = config.build_schedule()
        self.pipeline = InputPipeline(self.backend, self.normalisation)
        self.loss = config.build_loss()
        self._step = TrainingStep(
            self.network, self.loss, self.optimizer, self.pipeline, config.training
        )
        self._unchecked: list[tuple[int, int]] = []
        self._is_prepared = False
        self.progress = Progress()
        self._resumed_at, self._since = 0.0, time.perf_counter()
        self._saved_at = self._since
        self.run: RunFolder | None = None
        if run_dir is not None:
            self.create_run(Path(run_dir))

    @classmethod
    def resume(
        cls,
        run_dir: str | Path,
        backend: Backend | str | None = None,
        config: Config | None = None,
        display: Display | None = None,
    ) -> Trainer:
        """A trainer that goes on where a run stopped.

        Args:
            run_dir: the run folder.
            backend: as in the constructor; on another one the bits may differ.
            config: the run's own with changes; None for the run's own. Only keys that do not
                change the numbers may differ.
            display: as in the constructor.

        Raises:
            CheckpointError: no run folder, or no checkpoint in it can be used.
            ConfigError: ``config`` differs in other keys.
            DataError: the data has images of another shape, other classes, or another number or
                normalisation of the images to train on.
        """
        display = display or Display(quiet=True)
        run = RunFolder.open(Path(run_dir), display.line)
        run.lock()
        original = run.config()
        if config is not None:
            check_resumable(original, config)
        config = config or original
        data, has_begun = config.load_data(), run.has_begun()
        card = run.card() if has_begun or run.has_card() else None
        if card is not None:
            card.check_data(data.train)
        trainer = cls(config, backend, data=data, display=display)
        if card is not None:
            card.check_same_training(trainer._card())
        trainer.run = display.run = run
        run.clean()
        if has_begun:
            trainer._restore(run.checkpoints.newest())
        else:
            run.complete_beginning(describe(trainer.backend), trainer._card())
        run.truncate_metrics(trainer.progress.metrics_bytes)
        return trainer

    def create_run(self, path: Path) -> None:
        """Makes the run folder, as the constructor does where it is given one.

        Args:
            path: of the folder, which does not exist yet or is empty.

        Raises:
            CheckpointError: it exists and is not empty, or cannot be made.
        """
        self.run = self.display.run = RunFolder.create(
            path, self.config, describe(self.backend), self._card(), self.display.line
        )

    def create_numbered_run(self, parent: Path, name: str) -> None:
        """Makes the run folder ``parent/name-1``, or the next number that is free.

        Raises:
            CheckpointError: it cannot be made.
        """
        self.run = self.display.run = RunFolder.create_numbered(
            parent, name, self.config, describe(self.backend), self._card(), self.display.line
        )

    def _card(self) -> ModelCard:
        train = self.loader.dataset
        return ModelCard(train.image_shape, self.classes, self.normalisation, len(train))

    @property
    def steps_per_epoch(self) -> int:
        """Batches an epoch, the last and smaller one counted."""
        return len(self.loader)

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.config.training.epochs * self.steps_per_epoch

    def fit(self) -> Evaluation:
        """Trains to the end, then evaluates the best checkpoint on the test split.

        Returns:
            The evaluation on the test split.

        Raises:
            NonFiniteError: a loss or a gradient is not finite; the step was not taken.
            Interrupted: a signal asked to stop; a checkpoint was saved.
        """
        progress = self.progress
        images = self.config.training.epochs * len(self.loader.dataset)
        done = progress.epoch * len(self.loader.dataset) + progress.batch * self.loader.batch_size
        self._resumed_at, self._since = progress.seconds, time.perf_counter()
        self._saved_at = self._since
        self.prepare()
        try:
            with StopOnSignal() as self._stop, self.display.open_bar(images, done):
                if self.run is not None and progress.step == 0:
                    self.save()
                if progress.epoch < self.config.training.epochs:
                    self.display.line(epoch_header(self._watched_split))
                while progress.epoch < self.config.training.epochs:
                    self._train_epoch()
            return self._finish()
        finally:
            if self.run is not None:
                self.run.unlock()

    def prepare(self) -> None:
        """Makes ready what the run will launch, once; ``fit`` does it itself."""
        if not self._is_prepared:
            self.backend.compile_ahead(self._rehearse)
        self._is_prepared = True

    def _rehearse(self, backend: Backend) -> None:
        """All that the run will launch, on a backend that only takes note of it."""
        classes = len(self.classes)
        rehearse_training(self.config, backend, self.loader, classes, self.normalisation)
        for dataset in (self.validation, self.test):
            if dataset is not None:
                rehearse_evaluation(self.config, backend, dataset, classes, self.normalisation)

    def _train_epoch(self) -> None:
        """The rest of the epoch at hand, and its end."""
        progress = self.progress
        for batch in self.loader.batches(progress.epoch, start=progress.batch):
            self.train_step(batch)
            progress.batch += 1
            self._show(batch)
            if progress.step % _LOG_STEPS == 0:
                self._log_step()
            self._save_if_due()
            self._leave_if_asked()
        self._end_epoch()

    def _end_epoch(self) -> None:
        """Evaluation, a line, a checkpoint. Without a validation split the test split is shown."""
        progress, seen = self.progress, len(self.loader.dataset)
        loss, correct = self._read_totals()
        split = self._watched_split
        held_out = self.validation or self.test
        result = evaluate(self.network, self.loss, self.pipeline, self._watched(held_out))
        row = {
            "epoch": progress.epoch + 1,
            "step": progress.step,
            "train_loss": loss / seen,
            "train_accuracy": correct / seen,
            f"{split}_loss": result.loss,
            f"{split}_accuracy": result.accuracy,
            "seconds": round(self._seconds(), 3),
        }
        self._log(row)
        self.display.line(epoch_line(row, split, self.config.training.epochs))
        if self.validation and result.accuracy > progress.best_accuracy:
            progress.best_accuracy, progress.best_step = result.accuracy, progress.step
        progress.epoch, progress.batch = progress.epoch + 1, 0
        self.backend.write(self._step.totals, 0)
        self.save()

    def train_step(self, batch: Batch) -> None:
        """One step: forward, loss, backward, the checks, the optimizer.

        Where the host runs ahead of the device, it looks at the checks only now and then. No batch
        is kept for them: the images of one that went wrong are taken again.

        Args:
            batch: one of the loader's.

        Raises:
            NonFiniteError: the loss or the gradient of this step, or of one not long before, is
                not finite; neither that step nor a later one changed anything but running
                statistics.
        """
        self._step.take(batch, self.progress.step, self._schedule_factor())
        self.progress.step += 1
        self._unchecked.append((batch.epoch, batch.index))
        if not self.backend.runs_ahead or len(self._unchecked) >= _LOG_STEPS:
            self._check_steps()

    def _check_steps(self) -> None:
        """Raises NonFiniteError if one of the steps since the last check was not taken."""
        taken, self._unchecked = self._unchecked, []
        refused = self._step.refused() if taken else None
        if refused is not None:
            batch = self.loader.batch(*taken[refused - (self.progress.step - len(taken))])
            self.progress.step = refused
            raise self._step.explain(batch, refused)

    def evaluate(self, split: str = "test") -> Evaluation:
        """Evaluates the network as it is, on "test", "validation" or "train" (not augmented).

        Raises:
            ConfigError: this run has no such split.
        """
        datasets = {"test": self.test, "validation": self.validation, "train": self.loader.dataset}
        dataset = datasets.get(split)
        if dataset is None:
            known = ", ".join(name for name, one in datasets.items() if one is not None)
            raise ConfigError(f'there is no split "{split}"; this run has {known}')
        if not self._is_prepared:
            self.backend.compile_ahead(
                lambda backend: rehearse_evaluation(
                    self.config, backend, dataset, len(self.classes), self.normalisation
                )
            )
        return evaluate(self.network, self.loss, self.pipeline, self._batches(dataset))

    def save(self) -> None:
        """Saves a checkpoint of the present state, if there is a run folder.

        Raises:
            NonFiniteError: one of the last steps was not taken.
            CheckpointError: it cannot be written.
        """
        if self.run is None:
            return
        self.progress.loss_sum, self.progress.correct = self._read_totals()
        self.progress.seconds = self._seconds()
        arrays = {f"network/{name}": array for name, array in self.network.state().items()}
        arrays |= {f"optimizer/{name}": array for name, array in self.optimizer.state().items()}
        self.run.sync_metrics()
        self.run.checkpoints.save(Checkpoint(arrays, self.progress))
        self._saved_at = time.perf_counter()

    def learning_rate(self) -> float:
        """The learning rate of the step at hand."""
        return self.optimizer.learning_rate * self._schedule_factor()

    def _schedule_factor(self) -> float:
        return self.schedule.factor(self.progress.step, self.total_steps, self.steps_per_epoch)

    def _restore(self, checkpoint: Checkpoint) -> None:
        with checkpoint.named_in_errors():
            checkpoint.check_place(self.config.training.epochs, self.steps_per_epoch)
            self.network.load_state(checkpoint.group("network"))
            self.optimizer.load_state(checkpoint.group("optimizer"))
        self.progress = checkpoint.progress
        self.backend.write(self._step.totals, (self.progress.loss_sum, self.progress.correct))

    def _finish(self) -> Evaluation:
        """Evaluates the best checkpoint and writes the report; the network is that one then."""
        if self.run is not None:
            self.network.load_state(self.run.checkpoints.best().group("network"))
        result = self.evaluate("test")
        if self.run is not None:
            self.run.write_json("report.json", result.as_json(self.classes))
        return result

    def _batches(self, dataset: Dataset) -> Any:
        size = self.config.training.evaluation_batch_size
        return BatchLoader(self._near.of(dataset), size, self.config.seed, shuffle=False).batches(0)

    @property
    def _watched_split(self) -> str:
        """What is evaluated after each epoch."""
        return "validation" if self.validation else "test"

    def _watched(self, dataset: Dataset) -> Any:
        """Batches for evaluation, between which a request to stop is heard."""
        for batch in self._batches(dataset):
            self._leave_if_asked()
            yield batch

    def _save_if_due(self) -> None:
        every = self.config.checkpoint
        by_steps = every.every_steps and self.progress.step % every.every_steps == 0
        waited = time.perf_counter() - self._saved_at
        if by_steps or (every.every_seconds and waited >= every.every_seconds):
            self.save()

    def _leave_if_asked(self) -> None:
        if self._stop.number is None:
            return
        self.network.train()
        self.save()
        raise Interrupted(self._stop.number)

    def _read_totals(self) -> tuple[float, float]:
        """Sum of losses and number right in the epoch at hand, after a check of its steps."""
        self._check_steps()
        loss, correct = self.backend.to_numpy(self._step.totals)
        return float(loss), float(correct)

    def _seen(self) -> int:
        """Samples taken in the epoch at hand."""
        return min(self.progress.batch * self.loader.batch_size, len(self.loader.dataset))

    def _seconds(self) -> float:
        return self._resumed_at + time.perf_counter() - self._since

    def _show(self, batch: Batch) -> None:
        shown = ""
        if self.display.wants_totals:
            loss, correct = self._read_totals()
            shown = f"loss {loss / self._seen():.4f}, accuracy {correct / self._seen():.1%}"
        label = f"epoch {self.progress.epoch + 1}/{self.config.training.epochs}"
        self.display.advance(batch.labels.size, label, shown)

    def _log_step(self) -> None:
        """A line between those of epochs, with the mean loss of the epoch so far."""
        if self.run is None:
            return  # reading the loss would be a wait for nothing
        loss, _ = self._read_totals()
        self._log(
            {
                "step": self.progress.step,
                "train_loss": loss / self._seen(),
                "learning_rate": self.learning_rate(),
            }
        )

    def _log(self, row: dict[str, Any]) -> None:
        if self.run is not None:
            self.progress.metrics_bytes = self.run.append_metrics(row)
