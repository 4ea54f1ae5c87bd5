"""Using a trained model: answers for images, and how good they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends import get_backend
from gpucnn.backends.base import Backend
from gpucnn.data import Batch, BatchLoader, Dataset
from gpucnn.data.views import check_views
from gpucnn.errors import ShapeError
from gpucnn.layers import Network
from gpucnn.training.evaluation import evaluate, infer
from gpucnn.training.input_pipeline import InputPipeline
from gpucnn.training.opened_checkpoint import OpenedCheckpoint, open_checkpoint
from gpucnn.training.rehearsal import (
    SplitShape,
    batch_sizes,
    rehearse_evaluation,
    rehearse_prediction,
)
from gpucnn.training.resident import NearestImages
from gpucnn.training.task import Evaluation

_BATCH = 500


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
        self._prepared: set[tuple[int, str | None]] = set()

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names, in the order of the probabilities; empty in a regression."""
        return self.card.classes

    def predict(self, images: NDArray[np.uint8], tta: str | None = None) -> NDArray[Any]:
        """Probabilities of each class or, in a regression, numbers in their units.

        Args:
            images: uint8 (N, H, W, C), N may be 0.
            tta: which views of each image to average over: "flip" for the image and its mirror
                image, "shift" for the image and shifted by a pixel in four directions,
                "flip+shift" for all of these and their mirror images. None for the image alone.

        Returns:
            (N, number of ``task.names``), in the backend's dtype: float32 but for NumPy's fp64.

        Raises:
            ShapeError: images of another shape or dtype.
            ConfigError: other views.
        """
        check_views(tta)
        if images.dtype != np.uint8 or images.shape[1:] != self.card.input_shape:
            raise ShapeError(
                f"images are {images.dtype} of shape {images.shape}; this model takes uint8 (N, "
                + ", ".join(map(str, self.card.input_shape))
                + ")"
            )
        self._prepare(batch_sizes(len(images), _BATCH), tta)
        starts = range(0, len(images), _BATCH)
        parts = [self._answers(images[n : n + _BATCH], tta) for n in starts]
        return np.concatenate([np.empty((0, self.task.outputs), self.backend.dtype), *parts])

    def evaluate(self, dataset: Dataset, tta: str | None = None) -> Evaluation:
        """How good the model is on a data set, normalised as its training images were.

        Args:
            dataset: with labels, or numbers, to compare with.
            tta: as in ``predict``.

        Raises:
            DataError: images of another shape, or other classes or numbers than the model's.
            ConfigError: other views.
        """
        check_views(tta)
        self.card.check_data(dataset)
        config, backend = self._config, self.backend
        dataset = NearestImages(backend).of(dataset)
        task = self.card.task(is_soft=dataset.targets is not None)
        split = SplitShape(dataset.image_shape, task, len(dataset), dataset.on_device)
        backend.compile_ahead(lambda planner: rehearse_evaluation(config, planner, split, tta))
        size = config.training.evaluation_batch_size
        batches = BatchLoader(dataset, size, config.seed, shuffle=False).batches(0)
        result = evaluate(self.network, config.build_loss(), self._pipeline, task, batches, tta)
        self.network.infer()
        return result

    def _prepare(self, sizes: set[int], tta: str | None) -> None:
        """Makes ready what batches of sizes that are new, or new views, will launch."""
        new = {size for size in sizes if (size, tta) not in self._prepared}
        if not new:
            return
        config, shape, task = self._config, self.card.input_shape, self.task
        self.backend.compile_ahead(
            lambda planner: rehearse_prediction(config, planner, shape, task, new, tta)
        )
        self._prepared |= {(size, tta) for size in new}

    def _answers(self, images: NDArray[np.uint8], tta: str | None) -> NDArray[Any]:
        indices = np.arange(len(images))
        labels = np.zeros(len(images), np.int32)
        batch = Batch(images, labels, indices, draw=None, epoch=0, index=0)
        outputs = infer(self.network, self._pipeline, self.task, batch, tta)
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
