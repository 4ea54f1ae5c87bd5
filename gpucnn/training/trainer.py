"""The training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from gpucnn import plugins
from gpucnn.backends import get_backend
from gpucnn.backends.base import Backend
from gpucnn.config import Config, check_resumable
from gpucnn.data import Batch, Dataset, DatasetPair
from gpucnn.data.python_data import Source, as_pair
from gpucnn.environment import describe
from gpucnn.layers import Network
from gpucnn.training.checkpoint import Checkpoint, Progress
from gpucnn.training.display import Display, epoch_header, epoch_line, totals_text
from gpucnn.training.ending import check_finished, early_end, has_stopped_early, is_complete
from gpucnn.training.evaluation import evaluate
from gpucnn.training.finite import require_finite_loss
from gpucnn.training.initial_weights import Start, check_unchanged
from gpucnn.training.input_pipeline import InputPipeline
from gpucnn.training.model_card import ModelCard
from gpucnn.training.preflight import check_batches, check_length
from gpucnn.training.recorder import SAVED, Rescue, RunRecorder
from gpucnn.training.run_data import RunData
from gpucnn.training.run_folder import RunFolder
from gpucnn.training.signals import StopOnSignal
from gpucnn.training.state import TrainingState
from gpucnn.training.step import CheckedSteps, TrainingStep
from gpucnn.training.task import Evaluation
from gpucnn.training.watch import Watch


class Trainer:
    """Trains the model of a config on its data.

    Args:
        config: what to train, on what, and how.
        backend: a backend, or the name of one; None as in ``get_backend``.
        run_dir: where to make the run folder; None to keep nothing on disk.
        data: the training and the test data, (train, test), as ``gpucnn.data.python_data.as_pair``
            takes them; None to read the data set that the config names.
        display: shows progress, such as ``gpucnn.Display()``; None shows nothing.
        continued: the card of the run that goes on, for ``resume``.

    Attributes:
        config, backend: as given.
        classes: the classes' names, in the order of the scores; empty in a regression.
        task: what is learned; ``task.names`` are the names of the outputs.
        loader: of the batches to train on; ``loader.dataset`` is the training split.
        validation: the split held out for choosing the best checkpoint; None without one.
        test: the test split.
        normalisation: of the inputs, as ``RunData`` has it.
        network, loss, optimizer, schedule: what the config describes.
        initial_weights: what was loaded at the start; None if nothing was, or if a run is resumed.
        progress: where the run is.
        recorder: writes metrics and checkpoints.
        run: the run folder; None if nothing is kept.

    Raises:
        ConfigError: a config that does not fit the data, such as a loss for numbers where there
            are classes.
        DataError: files that are missing or damaged, or a split without images.
        ShapeError: a model that does not fit the images or the classes.
        BackendError: a backend that does not work here.
        CheckpointError: the run folder cannot be made, or is not empty; or weights to start from
            are missing, damaged, or of another model.
    """

    def __init__(
        self,
        config: Config,
        backend: Backend | str | None = None,
        run_dir: str | Path | None = None,
        data: DatasetPair | tuple[Source, Source] | None = None,
        display: Display | None = None,
        continued: ModelCard | None = None,
    ) -> None:
        if data is not None and not isinstance(data, DatasetPair):
            config, data = config.with_python_data(), as_pair(data)
        self.config = config
        self.display = display or Display(quiet=True)
        if not isinstance(backend, Backend):
            # With a quiet display, nothing says what "auto" has chosen either.
            backend = get_backend(backend, quiet=display is not None and display.quiet)
        self.backend = backend
        start = Start(config, continued)
        data = data or config.load_data()
        self._data = RunData(config, self.backend, data, continued, start.normalisation)
        self.classes, self.loader = self._data.classes, self._data.loader
        self.task = self._data.task
        self.validation, self.test = self._data.validation, self._data.test
        self.normalisation = self._data.normalisation
        layers, shape = config.build_model(), self.loader.dataset.image_shape
        self.network = Network(
            layers,
            shape,
            self.task.outputs,
            self.backend,
            config.seed,
            config.training.fuse,
            rate_factors=config.finetune.rate_factors,
        )
        self.network.train()
        self.initial_weights = start.load_into(self.network, self.task.names)
        self.optimizer = config.build_optimizer()
        self.optimizer.attach(self.network)
        self.schedule, self.loss = config.build_schedule(), self._data.build_loss()
        self.pipeline = InputPipeline(
            self.backend, self.normalisation, self.task.target_normalisation
        )
        step = TrainingStep(
            self.network, self.loss, self.optimizer, self.pipeline, config.training, self.task
        )
        self._totals = step.totals
        self._state = TrainingState(self.network, self.optimizer, self._totals, step.average)
        self._steps = CheckedSteps(step, self._state, self.loader)
        self.recorder = RunRecorder(self._state, config.checkpoint)
        self._watch = Watch(
            self.network, self.loader, self.task, config, self.recorder, self.display
        )
        self._stop, self._is_prepared = StopOnSignal(), False
        check_batches(self.network, self.loader)
        check_length(config.epochs, self.steps_per_epoch)
        if run_dir is not None:
            self.create_run(run_dir)

    @classmethod
    def resume(
        cls,
        run_dir: str | Path,
        backend: Backend | str | None = None,
        config: Config | None = None,
        display: Display | None = None,
        step: int | None = None,
        data: tuple[Source, Source] | None = None,
    ) -> Trainer:
        """A trainer that continues a run where it stopped.

        Args:
            run_dir: the run folder.
            backend: as in the constructor; on another one the bits may differ.
            config: the run's own with changes; None for the run's own. Only keys that do not
                change the numbers may differ.
            display: as in the constructor.
            step: of the checkpoint to continue from; later ones are deleted. None for the newest.
            data: as in the constructor, of a run that was begun with it.

        Raises:
            CheckpointError: no run folder, or no checkpoint in it can be used.
            ConfigError: ``config`` differs in other keys.
            DataError: the data has images of another shape, other classes, or another number or
                normalisation of the images to train on.
        """
        display = display or Display(quiet=True)
        run = RunFolder.open(Path(run_dir), display.line)
        with ExitStack() as undo:
            run.lock()
            undo.callback(run.unlock)
            trainer = cls._resumed(run, backend, config, display, step, data)
            undo.pop_all()
        return trainer

    @classmethod
    def _resumed(
        cls,
        run: RunFolder,
        backend: Backend | str | None,
        config: Config | None,
        display: Display,
        step: int | None,
        data: tuple[Source, Source] | None,
    ) -> Trainer:
        original = run.config()
        config = config or original
        if data is not None:
            config = config.with_python_data()
        check_resumable(original, config)
        config = config.starting_as(original)
        pair = config.load_data() if data is None else as_pair(data)
        has_begun = run.has_begun()
        card = run.card() if has_begun or run.has_card() else None
        if card is not None:
            card.check_data(pair.train)
        continued = card if has_begun or step is not None else None
        trainer = cls(config, backend, data=pair, display=display, continued=continued)
        if card is not None:
            card.check_same_training(trainer._data.card())
        trainer.run = run
        run.clean()
        for change in plugins.changes(run.plugins() if config.plugins.modules else {}):
            display.line(change)
        if config.training.patience != original.training.patience:
            run.write_config(original.with_patience(config.training.patience))
        if has_begun or step is not None:
            trainer._restore(run.checkpoints.newest() if step is None else run.checkpoints.at(step))
        else:
            check_unchanged(trainer.initial_weights, run)
            run.complete_beginning(trainer._environment(), trainer._data.card())
        if step is not None:
            run.checkpoints.discard_after(step)
        return trainer

    def create_run(self, path: str | Path) -> None:
        """Makes the run folder, as the constructor does if it is given one.

        What the run launches is compiled first, so that an error in that leaves no folder.

        Args:
            path: of the folder, which does not exist yet or is empty.

        Raises:
            BackendError: a kernel cannot be compiled.
            CheckpointError: it exists and is not empty, or cannot be made.
        """
        self.run = self._create(partial(RunFolder.create, Path(path)))

    def create_numbered_run(self, parent: str | Path, name: str) -> None:
        """As ``create_run``, in ``parent/name-1`` or the next number that is free."""
        self.run = self._create(partial(RunFolder.create_numbered, Path(parent), name))

    def _create(self, create: Callable[..., RunFolder]) -> RunFolder:
        self.prepare()
        about = self._environment(), self._data.card()
        with StopOnSignal() as stop, stop.postponed():  # then ``fit`` says how to go on
            return create(self.config, *about, self.display.line)

    def _environment(self) -> dict[str, object]:
        loaded = self.initial_weights
        about = {} if loaded is None else {"initial_weights": loaded.as_json()}
        return {**describe(self.backend), **about}

    def extend(self, epochs: int, schedule: Mapping[str, Any] | None = None) -> None:
        """Adds epochs to a finished run and to its config, for ``fit`` to train.

        Args:
            epochs: how many.
            schedule: a table as [schedule] in a config, for these epochs only; None if the
                schedule before is to continue by its rule, or with its last factor if it has none.

        Raises:
            ConfigError: the run is not finished, or the schedule is not valid.
            CheckpointError: the config cannot be written.
        """
        check_finished(self.config, self.progress)
        config = self.config.extended(epochs, schedule)
        check_length(config.epochs, self.steps_per_epoch)
        if self.run is not None:
            self.run.unlock()
            self.run.lock()  # again, if it was ``fit`` that finished the run
            self._restore(self.run.checkpoints.newest())  # ``fit`` ends with the best one
            self.run.write_config(self.run.config().extended(epochs, schedule))
        self.config, self.schedule = config, config.build_schedule()

    @property
    def progress(self) -> Progress:
        """Where the run is."""
        return self._state.progress

    @property
    def run(self) -> RunFolder | None:
        """The run folder; None if nothing is kept."""
        return self.recorder.run

    @run.setter
    def run(self, run: RunFolder) -> None:
        self.recorder.run = self.display.run = run

    @property
    def steps_per_epoch(self) -> int:
        """Steps per epoch, including the last one, which may see fewer samples."""
        return self._steps.per_epoch

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.config.epochs * self.steps_per_epoch

    def fit(self) -> Evaluation:
        """Trains to the end, then evaluates the best checkpoint on the test split.

        Whatever ends the training early, the last complete step is saved before it is reported; a
        note of the exception says so.

        Raises:
            NonFiniteError: a loss or a gradient is not finite, and the step was not taken; or the
                weights or the loss are not finite at the end of an epoch or of the run.
            Interrupted: a signal asked to stop.
        """
        with StopOnSignal() as self._stop, self.recorder:
            self._stop.obey()
            self.prepare()
            if not is_complete(self.config, self.progress):
                with self._stop.postponed(), Rescue(self.recorder, self.save, self._stop):
                    self._train()
            self.recorder.outcome = SAVED
            self._stop.obey()
            return self._finish()

    def prepare(self) -> None:
        """Compiles what the run will launch, once; ``fit`` does it by itself."""
        if not self._is_prepared:
            self.backend.compile_ahead(self._data.rehearse)
        self._is_prepared = True

    def _train(self) -> None:
        """All epochs that are left."""
        progress, samples = self.progress, len(self.loader.dataset)
        done = progress.epoch * samples + self._steps.seen
        with self.display.open_bar(self.config.epochs * samples, done):
            self.recorder.discard_report()  # of an end that was not the last
            if self.run is not None:
                self._watch.restore(self.run)
            self.save()  # on resume too, so that a folder that cannot be written is noticed now
            self.display.line(epoch_header(self._watched_split, self.task.measure))
            while not is_complete(self.config, progress):
                self._train_epoch()
            if has_stopped_early(self.config, progress):
                self.display.line(early_end(self.config, progress, self.task))

    def _train_epoch(self) -> None:
        """The rest of the epoch at hand, and its end.

        A step's row of metrics is written before the next step and is not part of the step's own
        checkpoint. So it is written once, wherever the run is stopped.
        """
        self.loader.waiting.restart()
        for batches in self._steps.left():
            self._log_step_if_due()
            self.train_step(*batches)
            self._show(batches)
            if self.recorder.is_due():
                self.save()
            self._stop.obey()
        self._log_step_if_due()
        self._end_epoch()

    def _end_epoch(self) -> None:
        """Evaluation, a line, a checkpoint. Progress changes after everything that may fail."""
        progress, split = self.progress, self._watched_split
        means, wait_share = self._steps.means(), self.loader.waiting.share()
        self._state.checkpoint()  # raises before anything is shown of a network that is not finite
        batches = self._watched(self.validation or self.test)
        with self._state.averaged():
            result = evaluate(self.network, self.loss, self.pipeline, self.task, batches)
        row = self.recorder.log_epoch(means, split, result, wait_share)
        self.display.line(epoch_line(row, split, self.config.epochs, self.task.measure))
        self._watch.end_epoch(row)
        self.backend.write(self._totals, 0)
        self.recorder.keep_rows()
        if self.validation:
            progress.take_validation(result.score, self.config.training.min_delta)
        progress.epoch, progress.batch = progress.epoch + 1, 0
        self.save()

    def train_step(self, *batches: Batch) -> None:
        """One step: forward, loss, backward, the checks, the optimizer.

        Args:
            batches: one of the loader's; up to ``training.accumulate`` that follow one another.

        Raises:
            NonFiniteError: the loss or the gradient of this step is not finite, and nothing has
                changed. If the host runs ahead of the device, it may be one of the last 50 steps,
                and that step and all later ones have changed nothing but running statistics.
        """
        with self._watch.step(self.progress.step + 1, self._steps.check):
            self._steps.take(batches, self._schedule_factor(self.progress.step))
        self.recorder.keep_rows()

    def evaluate(self, split: str = "test") -> Evaluation:
        """Evaluates the network as it is, on "test", "validation" or "train" (not augmented).

        With ``training.ema_decay``, its averages are evaluated.

        Raises:
            ConfigError: this run has no such split.
        """
        dataset = self._data.split(split)
        if not self._is_prepared:
            self.backend.compile_ahead(partial(self._data.rehearse_evaluation, dataset=dataset))
        batches = self._data.evaluation_batches(dataset)
        with self._state.averaged():
            return evaluate(self.network, self.loss, self.pipeline, self.task, batches)

    def save(self) -> None:
        """Saves a checkpoint of the present state, if there is a run folder.

        Raises:
            NonFiniteError: the state is not finite, or one of the last steps was not taken.
            CheckpointError: it cannot be written, or a step failed that cannot be undone.
        """
        if self.run is not None:
            self.progress.loss_sum, self.progress.correct = self._steps.totals()
            self.recorder.save()

    def learning_rate(self, step: int | None = None) -> float:
        """The learning rate of a step, from 0; None for the next one."""
        step = self.progress.step if step is None else step
        return self.optimizer.learning_rate * self._schedule_factor(step)

    def _schedule_factor(self, step: int) -> float:
        return self.schedule.factor(step, self.total_steps, self.steps_per_epoch)

    def _restore(self, checkpoint: Checkpoint) -> None:
        with checkpoint.named_in_errors():
            checkpoint.check_place(self.config.epochs, self.steps_per_epoch)
            self._state.restore(checkpoint)

    def _finish(self) -> Evaluation:
        """Evaluates the best checkpoint, which the network then has, and writes the report."""
        if self.run is not None:
            self._state.use(self.run.checkpoints.best())
        result = self.evaluate("test")
        require_finite_loss(result.loss, "test", self.backend)
        self.recorder.write_report(result, self.task.names)
        return result

    @property
    def _watched_split(self) -> str:
        """What is evaluated after each epoch: the test split if nothing is held out."""
        return "validation" if self.validation else "test"

    def _watched(self, dataset: Dataset) -> Iterator[Batch]:
        """Batches for evaluation. The run can be stopped between two of them."""
        for batch in self._data.evaluation_batches(dataset):
            self._stop.obey()
            yield batch

    def _show(self, batches: Sequence[Batch]) -> None:
        label, shown = f"epoch {self.progress.epoch + 1}/{self.config.epochs}", ""
        if self.display.wants_totals:
            means, wait_share = self._steps.means(), self.loader.waiting.share()
            shown = totals_text(means, self.task.measure, wait_share)
        self.display.advance(sum(batch.labels.size for batch in batches), label, shown)

    def _log_step_if_due(self) -> None:
        if self.recorder.is_row_due():
            loss = self._steps.means()["loss"]
            rate = self.learning_rate(self.progress.step - 1)
            self.recorder.log_step(loss, rate, self.loader.waiting.share())
