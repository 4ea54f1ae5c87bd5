"""A run's steps on a backend that only takes note of what they launch."""

from __future__ import annotations

import numpy as np

from gpucnn.backends.base import Backend
from gpucnn.config import Config
from gpucnn.data import Batch, BatchLoader, Normalisation
from gpucnn.layers import Network
from gpucnn.training.input_pipeline import InputPipeline
from gpucnn.training.step import TrainingStep


def rehearse(
    config: Config,
    backend: Backend,
    loader: BatchLoader,
    classes: int,
    normalisation: Normalisation,
) -> None:
    """Takes a training step and an evaluation of each size of batch that a run has.

    Args:
        config: what to train.
        backend: one whose arrays have no contents.
        loader: of the training split; no images are read.
        classes: how many the data has.
        normalisation: of the images.
    """
    dataset = loader.dataset
    network = Network(
        config.build_model(),
        dataset.image_shape,
        classes,
        backend,
        config.seed,
        config.training.fuse,
        draw_weights=False,
    )
    optimizer, loss = config.build_optimizer(), config.build_loss()
    optimizer.attach(network)
    pipeline = InputPipeline(backend, normalisation)
    step = TrainingStep(network, loss, optimizer, pipeline, config.training)
    network.train()
    for size in _sizes(len(dataset), loader.batch_size):
        step.take(_batch(loader, size), 0, 1.0)
    network.infer()
    for size in _sizes(len(dataset), config.training.evaluation_batch_size):
        plain = _batch(BatchLoader(dataset, size, config.seed, shuffle=False), size)
        labels, scores = pipeline.labels(plain), network.forward(pipeline.inputs(plain))
        losses = loss.forward(backend, scores, labels)
        backend.accumulate_metrics(step.totals, losses, scores, labels)


def _sizes(samples: int, batch_size: int) -> set[int]:
    """Of whole batches and of the last one."""
    return {min(samples, batch_size), samples % batch_size} - {0}


def _batch(loader: BatchLoader, size: int) -> Batch:
    """A batch of black images."""
    indices = np.arange(size, dtype=np.int64)
    augmentation = loader.augmentation
    return Batch(
        images=np.zeros((size, *loader.dataset.image_shape), np.uint8),
        labels=np.zeros(size, np.int32),
        indices=indices,
        draw=augmentation.draw(loader.seed, 0, indices) if augmentation else None,
        epoch=0,
        index=0,
    )
