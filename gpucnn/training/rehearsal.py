"""What a run, an evaluation or a prediction launches, on a backend that only takes note of it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.base import Backend
from gpucnn.config import Config
from gpucnn.data import ArrayDataset, Batch, BatchLoader, Dataset, Draw, Normalisation
from gpucnn.layers import Network
from gpucnn.training.evaluation import evaluate
from gpucnn.training.input_pipeline import InputPipeline
from gpucnn.training.resident import fits
from gpucnn.training.step import TrainingStep


def rehearse_training(
    config: Config,
    backend: Backend,
    loader: BatchLoader,
    classes: int,
    normalisation: Normalisation,
) -> None:
    """Takes a training step of each size of batch that an epoch has.

    Args:
        config: what to train.
        backend: one whose arrays have no contents.
        loader: of the training split; no images are read.
        classes: how many the data has.
        normalisation: of the images.
    """
    dataset = loader.dataset
    network = _network(config, backend, dataset.image_shape, classes)
    optimizer = config.build_optimizer()
    optimizer.attach(network)
    pipeline = InputPipeline(backend, normalisation)
    _take_images(backend, dataset)
    step = TrainingStep(network, config.build_loss(), optimizer, pipeline, config.training)
    network.train()
    for size in batch_sizes(len(dataset), loader.batch_size):
        step.take(_black(loader, size), 0, 1.0)


def rehearse_evaluation(
    config: Config, backend: Backend, dataset: Dataset, classes: int, normalisation: Normalisation
) -> None:
    """Evaluates a batch of each size that a split has.

    Args:
        config: of the model.
        backend: one whose arrays have no contents.
        dataset: the split; no images are read.
        classes: how many the data has.
        normalisation: of the images.
    """
    network, loss = _network(config, backend, dataset.image_shape, classes), config.build_loss()
    pipeline = InputPipeline(backend, normalisation)
    _take_images(backend, dataset)
    loader = BatchLoader(dataset, config.training.evaluation_batch_size, config.seed, shuffle=False)
    sizes = batch_sizes(len(dataset), loader.batch_size)
    evaluate(network, loss, pipeline, (_black(loader, size) for size in sizes))


def rehearse_prediction(
    config: Config,
    backend: Backend,
    image_shape: tuple[int, int, int],
    classes: int,
    sizes: Iterable[int],
) -> None:
    """Predicts batches of these sizes.

    Args:
        config: of the model.
        backend: one whose arrays have no contents.
        image_shape: (H, W, C).
        classes: how many the model tells apart.
        sizes: of the batches.
    """
    network = _network(config, backend, image_shape, classes)
    pipeline = InputPipeline(backend, _any_normalisation(image_shape))
    network.infer()
    for size in sizes:
        x = pipeline.inputs(_batch(image_shape, np.arange(size)))
        backend.softmax(network.forward(x))


def rehearse_without_data(
    config: Config, backend: Backend, image_shape: tuple[int, int, int], classes: int
) -> None:
    """Takes a training step and evaluates a batch, of data of which only the shape is known.

    Args:
        config: what to train.
        backend: one whose arrays have no contents.
        image_shape: (H, W, C).
        classes: how many.
    """
    training, normalisation = config.training, _any_normalisation(image_shape)
    samples = max(training.batch_size, training.evaluation_batch_size)
    dataset = ArrayDataset(
        np.zeros((samples, *image_shape), np.uint8),
        np.zeros(samples, np.int32),
        tuple(map(str, range(classes))),
    )
    loader = BatchLoader(dataset, training.batch_size, config.seed, config.build_augmentation())
    rehearse_training(config, backend, loader, classes, normalisation)
    rehearse_evaluation(config, backend, dataset, classes, normalisation)


def batch_sizes(samples: int, batch_size: int) -> set[int]:
    """Of whole batches and of the last one."""
    return {min(samples, batch_size), samples % batch_size} - {0}


def _network(
    config: Config, backend: Backend, image_shape: tuple[int, int, int], classes: int
) -> Network:
    return Network(
        config.build_model(),
        image_shape,
        classes,
        backend,
        config.seed,
        config.training.fuse,
        draw_weights=False,
    )


def _any_normalisation(image_shape: tuple[int, int, int]) -> Normalisation:
    """Which numbers it has is all the same to what is launched."""
    channels = image_shape[2]
    return Normalisation((0.0,) * channels, (1.0,) * channels)


def _take_images(backend: Backend, dataset: Dataset) -> None:
    """As resident images are taken, if these are resident or will be."""
    if dataset.on_device or fits(backend, dataset):
        images = backend.empty((1, *dataset.image_shape), np.uint8)
        backend.take_images(images, backend.zeros((1,), np.int64))


def _black(loader: BatchLoader, size: int) -> Batch:
    """A batch of black images, augmented as the loader's are."""
    indices, augmentation = np.arange(size), loader.augmentation
    draw = augmentation.draw(loader.seed, 0, indices) if augmentation else None
    return _batch(loader.dataset.image_shape, indices, draw)


def _batch(
    image_shape: tuple[int, int, int], indices: NDArray[np.int64], draw: Draw | None = None
) -> Batch:
    return Batch(
        images=np.zeros((indices.size, *image_shape), np.uint8),
        labels=np.zeros(indices.size, np.int32),
        indices=indices,
        draw=draw,
        epoch=0,
        index=0,
    )
