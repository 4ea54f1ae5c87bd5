"""What a run, an evaluation or a prediction launches, on a backend that only takes note of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from gpucnn.backends.base import Backend
from gpucnn.config import Config
from gpucnn.data import Augmentation, Batch, no_normalisation
from gpucnn.layers import Network, unfused
from gpucnn.training.evaluation import evaluate, infer
from gpucnn.training.input_pipeline import InputPipeline
from gpucnn.training.step import TrainingStep
from gpucnn.training.task import Task


@dataclass(frozen=True)
class SplitShape:
    """All of a split that determines what is launched for it.

    Attributes:
        image_shape: (H, W, C).
        task: what is learned from them.
        samples: the number of images.
        is_resident: whether the images are on the device, or will be, so that it gathers batches.
    """

    image_shape: tuple[int, int, int]
    task: Task
    samples: int
    is_resident: bool = False


def rehearse_training(config: Config, planner: Backend, split: SplitShape) -> None:
    """Takes a training step of each size of batch that an epoch has.

    Args:
        config: what to train.
        planner: a backend whose arrays have no contents.
        split: to train on.

    Raises:
        ConfigError: an augmentation that such images cannot have.
    """
    augmentation = config.build_augmentation()
    augmentation.check_images(split.image_shape)
    network = _network(config, planner, split.image_shape, split.task)
    optimizer = config.build_optimizer()
    optimizer.attach(network)
    pipeline = _pipeline(planner, split.image_shape, split.task)
    loss = config.build_loss()
    loss.prepare(np.ones(split.task.outputs, np.int64))  # any sizes: the launches are the same
    step = TrainingStep(network, loss, optimizer, pipeline, config.training, split.task)
    network.train()
    for size in batch_sizes(split.samples, config.training.batch_size):
        # The second batch of a step launches what a third would launch too.
        batches = [_batch(planner, split, size, augmentation)] * min(2, config.training.accumulate)
        step.take(batches, 0, 1.0)
        if config.training.watch:
            with unfused(network.body):
                step.take(batches, 0, 1.0)


def rehearse_evaluation(
    config: Config, planner: Backend, split: SplitShape, tta: str | None = None
) -> None:
    """Evaluates a batch of each size that a split has.

    Args:
        config: of the model.
        planner: a backend whose arrays have no contents.
        split: to evaluate.
        tta: the views to average over, or None.
    """
    network = _network(config, planner, split.image_shape, split.task)
    pipeline = _pipeline(planner, split.image_shape, split.task)
    sizes = batch_sizes(split.samples, config.training.evaluation_batch_size)
    batches = (_batch(planner, split, size) for size in sizes)
    evaluate(network, config.build_loss(), pipeline, split.task, batches, tta)


def rehearse_prediction(
    config: Config,
    planner: Backend,
    image_shape: tuple[int, int, int],
    task: Task,
    sizes: Iterable[int],
    tta: str | None = None,
) -> None:
    """Predicts batches of these sizes.

    Args:
        config: of the model.
        planner: a backend whose arrays have no contents.
        image_shape: (H, W, C).
        task: what the model has learned.
        sizes: of the batches.
        tta: the views to average over, or None.
    """
    network = _network(config, planner, image_shape, task)
    pipeline = _pipeline(planner, image_shape, task)
    network.infer()
    for size in sizes:
        batch = _batch(planner, SplitShape(image_shape, task, size), size)
        task.answers(planner, infer(network, pipeline, task, batch, tta))


def rehearse_without_data(
    config: Config, planner: Backend, image_shape: tuple[int, int, int], task: Task
) -> None:
    """Takes a training step and evaluates a batch, of data of which only the shape is known.

    Args:
        config: what to train.
        planner: a backend whose arrays have no contents.
        image_shape: (H, W, C).
        task: what is learned.

    Raises:
        ConfigError: as ``rehearse_training``.
    """
    samples = max(config.training.batch_size, config.training.evaluation_batch_size)
    split = SplitShape(image_shape, task, samples)
    rehearse_training(config, planner, split)
    rehearse_evaluation(config, planner, split)


def batch_sizes(samples: int, batch_size: int) -> set[int]:
    """Of whole batches and of the last one."""
    return {min(samples, batch_size), samples % batch_size} - {0}


def _network(
    config: Config, planner: Backend, image_shape: tuple[int, int, int], task: Task
) -> Network:
    return Network(
        config.build_model(),
        image_shape,
        task.outputs,
        planner,
        config.seed,
        config.training.fuse,
        draw_weights=False,
        rate_factors=config.finetune.rate_factors,
    )


def _pipeline(planner: Backend, image_shape: tuple[int, int, int], task: Task) -> InputPipeline:
    """With any normalisation: its values do not change what is launched."""
    normalisation = no_normalisation(image_shape[2])
    return InputPipeline(planner, normalisation, task.target_normalisation)


def _batch(
    planner: Backend, split: SplitShape, size: int, augmentation: Augmentation | None = None
) -> Batch:
    """A batch whose images are arrays of the planner, taken as those of the split are."""
    indices = np.arange(size)
    if split.is_resident:
        resident = planner.empty((1, *split.image_shape), np.uint8)
        images = planner.take_images(resident, planner.empty((size,), np.int64))
    else:
        images = planner.empty((size, *split.image_shape), np.uint8)
    labels, targets = split.task.blank(size)  # which an evaluation reads on the host
    draw = augmentation.draw(0, 0, indices, split.image_shape) if augmentation else None
    if draw is not None and draw.mix is not None and targets is None:
        targets = np.zeros((size, split.task.outputs), np.float32)
    return Batch(
        images=images,
        labels=labels,
        indices=indices,
        draw=draw,
        epoch=0,
        index=0,
        on_device=True,
        targets=targets,
    )
