"""A run's steps on a backend that only takes note of what they launch."""

from __future__ import annotations

import numpy as np

from gpucnn.backends.base import Backend
from gpucnn.config import Config
from gpucnn.data import ArrayDataset, Batch, BatchLoader, Normalisation
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
    images = backend.empty((1, *dataset.image_shape), np.uint8)
    backend.take_images(images, backend.zeros((1,), np.int64))
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


def rehearse_without_data(
    config: Config, backend: Backend, image_shape: tuple[int, int, int], classes: int
) -> None:
    """The same for data of which only the shape is known.

    Args:
        config: what to train.
        backend: one whose arrays have no contents.
        image_shape: (H, W, C).
        classes: how many.
    """
    training = config.training
    samples, channels = max(training.batch_size, training.evaluation_batch_size), image_shape[-1]
    dataset = ArrayDataset(
        np.zeros((samples, *image_shape), np.uint8),
        np.zeros(samples, np.int32),
        tuple(map(str, range(classes))),
    )
    loader = BatchLoader(dataset, training.batch_size, config.seed, config.build_augmentation())
    normalisation = Normalisation((0.0,) * channels, (1.0,) * channels)
    rehearse(config, backend, loader, classes, normalisation)


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
