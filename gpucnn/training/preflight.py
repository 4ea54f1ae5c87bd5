"""What would end a run in its middle, or at its end, and can be known before it begins."""

from __future__ import annotations

import math

from gpucnn.data import BatchLoader, Dataset
from gpucnn.errors import ConfigError, DataError
from gpucnn.layers import BatchNorm2d, Network
from gpucnn.operations.guard import LAST_STEP


def check_splits(**splits: Dataset) -> None:
    """Checks that there is something to train on and something to test on.

    Raises:
        DataError: a split has no images.
    """
    for name, dataset in splits.items():
        if not len(dataset):
            raise DataError(f"the {name} split has no images; a run needs some in each split")


def check_batches(network: Network, loader: BatchLoader) -> None:
    """Checks that batch normalisation gets more than one value per channel from every batch.

    Args:
        network: that is to be trained.
        loader: of the batches to train on; the last of an epoch may be smaller.

    Raises:
        ConfigError: a batch has one image, and a layer normalises a single pixel of it.
    """
    samples, batch_size = len(loader.dataset), loader.batch_size
    if batch_size > 1 and samples % batch_size != 1:
        return
    for layer in network.plain_layers():
        if not isinstance(layer, BatchNorm2d) or layer.is_frozen:
            continue
        if math.prod(layer.input_shape[:2]) == 1:
            batch = "a batch" if batch_size == 1 else "the last batch of an epoch"
            raise ConfigError(
                f"training.batch_size = {batch_size}: with {samples:,} images for training, "
                f'{batch} has one image, from which layer "{layer.name}" gets one value per '
                f"channel; batch normalisation needs two or more. {_other(samples, batch_size)}"
            )


def _other(samples: int, batch_size: int) -> str:
    """The sizes of batches that are nearest and leave no image alone."""
    possible = [size for size in range(2, max(samples, 2) + 1) if samples % size != 1]
    below = [size for size in possible if size < batch_size][-1:]
    above = [size for size in possible if size > batch_size][:1]
    sizes = " or ".join(map(str, below + above))
    return f"Use {sizes} instead" if samples > 1 else "Use more images"


def check_length(epochs: int, steps_per_epoch: int) -> None:
    """Checks that the steps of a run can be counted.

    Raises:
        ConfigError: there are more than the device's guard can hold.
    """
    if epochs * steps_per_epoch > LAST_STEP:
        raise ConfigError(
            f"{epochs:,} epochs of {steps_per_epoch:,} steps are more than {LAST_STEP:,} steps; "
            f"lower training.epochs"
        )
