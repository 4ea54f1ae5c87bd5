"""Using a trained model: opening a checkpoint, answers for images, and how good they are."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends import get_backend
from gpucnn.backends.base import Backend
from gpucnn.config import Config
from gpucnn.data import Batch, BatchLoader, Dataset
from gpucnn.errors import CheckpointError, ConfigError, ShapeError
from gpucnn.layers import Network
from gpucnn.text import shown
from gpucnn.training.checkpoint import Checkpoint, is_checkpoint_name
from gpucnn.training.evaluation import evaluate
from gpucnn.training.input_pipeline import InputPipeline
from gpucnn.training.model_card import ModelCard
from gpucnn.training.rehearsal import (
    SplitShape,
    batch_sizes,
    rehearse_evaluation,
    rehearse_prediction,
)
from gpucnn.training.resident import NearestImages
from gpucnn.training.run_folder import RunFolder
from gpucnn.training.task import Evaluation

_BATCH = 500


@dataclass(frozen=True)
class OpenedCheckpoint:
    """A verified checkpoint with the config and the model card of its run.

    Attributes:
        raw: whether the weights are used even if there are averages of them.
    """

    checkpoint: Checkpoint
    config: Config
    card: ModelCard
    raw: bool = False


def open_checkpoint(
    path: str | Path, overrides: Iterable[str] = (), step: int | None = None, raw: bool = False
) -> OpenedCheckpoint:
    """Opens a run folder's best checkpoint, or a checkpoint file within a run folder.

    Args:
        path: the folder, or a ``.safetensors`` or ``.json`` file in its ``checkpoints``.
        overrides: changes to the run's config, ``key=value``.
        step: of a folder, the step of the checkpoint to open; None for the best.
        raw: whether to use the weights of a run that keeps averages of them.

    Raises:
        CheckpointError: neither of them, damaged, or there is no checkpoint of that step.
        ConfigError: an override cannot be, a step is given with a file, or ``raw`` for a run
            without averages.
    """
    path = Path(path)
    if path.is_file():
        if step is not None:
            raise ConfigError(f"{shown(path)} is one checkpoint; a step is for a run folder")
        if path.suffix != ".safetensors" and not is_checkpoint_name(path.name):
            raise CheckpointError(
                f"{shown(path)} is neither a checkpoint (.safetensors) nor a run folder; give a "
                f"folder that gpucnn train made, or a file of its checkpoints"
            )
        run = RunFolder.open(path.resolve().parent.parent)
    else:
        run = RunFolder.open(path, _to_stderr)
    config, card = run.config(overrides), run.card()
    if path.is_file():
        checkpoint = run.checkpoints.read_file(path.resolve())
    else:
        checkpoint = run.checkpoints.best() if step is None else run.checkpoints.at(step)
    if raw and not checkpoint.group("ema"):
        raise ConfigError(
            f"{shown(path)} has no averages of weights (training.ema_decay), so the weights "
            f"themselves are used in any case; leave out --raw"
        )
    return OpenedCheckpoint(checkpoint, config, card, raw)


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr)


class TrainedModel:
    """A network in inference mode, with the names of its classes or of the numbers it predicts.

    Args:
        opened: what ``open_checkpoint`` returned.
        backend: a backend, or the name of one; None as in ``get_backend``.

    Attributes:
        card: input shape, classes and normalisation.
        task: what the model has learned; ``task.names`` are the names of predictions' columns.
        backend: what runs it.
        network: in inference mode.

    Raises:
        BackendError: a backend that cannot work here.
        CheckpointError: the checkpoint is of another model than its config describes, or this model
            does not take its images.
    """

    def __init__(self, opened: OpenedCheckpoint, backend: Backend | str | None = None) -> None:
        self.card, self.task = opened.card, opened.card.task()
        self._config = opened.config
        self.backend = backend if isinstance(backend, Backend) else get_backend(backend)
        with opened.checkpoint.named_in_errors():
            self.network = Network(
                opened.config.build_model(),
                self.card.input_shape,
                self.task.outputs,
                self.backend,
                fuse=opened.config.training.fuse,
                draw_weights=False,
            )
            self.network.load_state(opened.checkpoint.weights(opened.raw))
        self.network.infer()
        self._pipeline = InputPipeline(
            self.backend, self.card.normalisation, self.card.target_normalisation
        )
        self._prepared: set[int] = set()

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names, in the order of the probabilities; empty in a regression."""
        return self.card.classes

    def predict(self, images: NDArray[np.uint8]) -> NDArray[Any]:
        """Probabilities of each class or, in a regression, numbers in their units.

        Args:
            images: uint8 (N, H, W, C), N may be 0.

        Returns:
            (N, number of ``task.names``), in the backend's dtype: float32 but for NumPy's fp64.

        Raises:
            ShapeError: images of another shape or dtype.
        """
        if images.dtype != np.uint8 or images.shape[1:] != self.card.input_shape:
            raise ShapeError(
                f"images are {images.dtype} of shape {images.shape}; this model takes uint8 (N, "
                + ", ".join(map(str, self.card.input_shape))
                + ")"
            )
        self._prepare(batch_sizes(len(images), _BATCH))
        parts = [self._answers(images[n : n + _BATCH]) for n in range(0, len(images), _BATCH)]
        return np.concatenate([np.empty((0, self.task.outputs), self.backend.dtype), *parts])

    def evaluate(self, dataset: Dataset) -> Evaluation:
        """How good the model is on a data set, normalised as its training images were.

        Raises:
            DataError: images of another shape, or other classes or numbers than the model's.
        """
        self.card.check_data(dataset)
        config, backend = self._config, self.backend
        dataset = NearestImages(backend).of(dataset)
        task = self.card.task(is_soft=dataset.targets is not None)
        split = SplitShape(dataset.image_shape, task, len(dataset), dataset.on_device)
        backend.compile_ahead(lambda planner: rehearse_evaluation(config, planner, split))
        size = config.training.evaluation_batch_size
        batches = BatchLoader(dataset, size, config.seed, shuffle=False).batches(0)
        result = evaluate(self.network, config.build_loss(), self._pipeline, task, batches)
        self.network.infer()
        return result

    def _prepare(self, sizes: set[int]) -> None:
        """Makes ready what batches of sizes that are new will launch."""
        new = sizes - self._prepared
        if not new:
            return
        config, shape, task = self._config, self.card.input_shape, self.task
        self.backend.compile_ahead(
            lambda planner: rehearse_prediction(config, planner, shape, task, new)
        )
        self._prepared |= new

    def _answers(self, images: NDArray[np.uint8]) -> NDArray[Any]:
        indices = np.arange(len(images))
        labels = np.zeros(len(images), np.int32)
        batch = Batch(images, labels, indices, draw=None, epoch=0, index=0)
        outputs = self.network.forward(self._pipeline.inputs(batch))
        return self.task.answers(self.backend, outputs)


def load(
    path: str | Path,
    backend: Backend | str | None = None,
    step: int | None = None,
    raw: bool = False,
) -> TrainedModel:
    """The trained model of a run folder, or of one checkpoint in it, ready to predict.

    Args:
        path: the folder, or a ``.safetensors`` or ``.json`` file in its ``checkpoints``.
        backend: a backend, or the name of one; None as in ``get_backend``.
        step: of a folder, the step of the checkpoint to load; None for the best.
        raw: whether to use the weights of a run that keeps averages of them (training.ema_decay).

    Raises:
        CheckpointError: neither of them, damaged, or there is no checkpoint of that step.
        BackendError: a backend that cannot work here.
    """
    return TrainedModel(open_checkpoint(path, step=step, raw=raw), backend)
