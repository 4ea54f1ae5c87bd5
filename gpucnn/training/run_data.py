"""The data of a run: its splits, their batches, and what the run launches for them."""

from __future__ import annotations

import hashlib
from collections.abc import Generator

import numpy as np

from gpucnn.backends.base import Backend
from gpucnn.config import Config
from gpucnn.data import (
    Batch,
    BatchLoader,
    Dataset,
    DatasetPair,
    Normalisation,
    channel_statistics,
    in_memory,
    no_normalisation,
    normalised_variance,
    target_statistics,
    validation_split,
)
from gpucnn.errors import ConfigError
from gpucnn.losses import Loss
from gpucnn.training.classification import Classification
from gpucnn.training.model_card import ModelCard
from gpucnn.training.preflight import check_splits
from gpucnn.training.regression import Regression
from gpucnn.training.rehearsal import SplitShape, rehearse_evaluation, rehearse_training
from gpucnn.training.resident import NearestImages, fits
from gpucnn.training.task import Task


class RunData:
    """The splits of a data set as a config asks for them.

    Args:
        config: of the run.
        backend: that trains; images are copied to its device if there is room.
        pair: the data set.
        continued: the card of the run that goes on. If it is of the same data, and the images are
            not in memory, its normalisation is taken over instead of decoding them all once more.
        kept: the normalisation of the run that the weights are from; None for none.

    Attributes:
        classes: the classes' names, in the order of the scores; empty in a regression.
        task: what is learned.
        loader: of the batches to train on.
        validation: the split held out for choosing the best checkpoint; None without one.
        test: the test split.
        normalisation: of the inputs: as the config has it, or ``kept`` if the images have as many
            channels, or else mean and deviation of each channel of the training split.

    Raises:
        ConfigError: a validation share, a batch size, a padding, a normalisation or a loss that
            does not fit the data.
        DataError: files that are missing or damaged, or a split without images.
    """

    def __init__(
        self,
        config: Config,
        backend: Backend,
        pair: DatasetPair,
        continued: ModelCard | None = None,
        kept: Normalisation | None = None,
    ) -> None:
        self._config, self._backend, self._pair = config, backend, pair
        self._near = NearestImages(backend)
        self.classes, self.test = pair.train.classes, pair.test
        train, validation = validation_split(pair.train, config.data.validation, config.seed)
        check_splits(training=train, test=self.test)
        self.validation: Dataset | None = validation if len(validation) else None
        if fits(backend, train):
            train = in_memory(train)  # read once, for the statistics and for the device
        if continued and train.on_demand and continued.data == self._fingerprint():
            self.normalisation = continued.normalisation
        else:
            self.normalisation = _normalisation(config, train, kept)
        self.task = self._task(train)
        self.task.check_loss(config.build_loss(), config.tables["loss"]["name"])
        self.loader = BatchLoader(
            self._near.of(train),
            config.training.batch_size,
            config.seed,
            config.build_augmentation(),
            is_idle=backend.is_idle,
        )

    def _task(self, train: Dataset) -> Task:
        if not train.target_names:
            return Classification(train.classes, is_soft=train.targets is not None)
        assert train.targets is not None
        names = train.target_names
        normalisation = (
            target_statistics(train.targets, names)
            if self._config.data.normalise_targets
            else no_normalisation(len(names))
        )
        return Regression(names, normalisation, normalised_variance(train.targets, normalisation))

    def build_loss(self) -> Loss:
        """A new loss, prepared for the training split.

        Raises:
            ConfigError: weights of other classes.
        """
        loss = self._config.build_loss()
        try:
            loss.prepare(np.bincount(self.loader.dataset.labels, minlength=self.task.outputs))
        except ConfigError as error:
            raise ConfigError(f"loss: {error}") from None
        return loss

    def card(self) -> ModelCard:
        """What the model takes and learns from."""
        train = self.loader.dataset
        return ModelCard(
            train.image_shape,
            self.classes,
            self.normalisation,
            len(train),
            self._fingerprint(),
            train.target_names,
            self.task.target_normalisation,
        )

    def _fingerprint(self) -> str:
        """Of both splits."""
        splits = self._pair.train.fingerprint() + self._pair.test.fingerprint()
        return hashlib.sha256(splits.encode("ascii")).hexdigest()

    def split(self, name: str) -> Dataset:
        """The split "test", "validation" or "train".

        Raises:
            ConfigError: this run has no such split.
        """
        all_splits = {
            "test": self.test,
            "validation": self.validation,
            "train": self.loader.dataset,
        }
        splits = {key: dataset for key, dataset in all_splits.items() if dataset is not None}
        if name not in splits:
            known = ", ".join(splits)
            raise ConfigError(f'there is no split "{name}"; this run has {known}')
        return splits[name]

    def evaluation_batches(self, dataset: Dataset) -> Generator[Batch, None, None]:
        """The batches of one of the splits, not augmented, in its own order."""
        size, seed = self._config.training.evaluation_batch_size, self._config.seed
        return BatchLoader(self._near.of(dataset), size, seed, shuffle=False).batches(0)

    def rehearse(self, planner: Backend) -> None:
        """Launches what the run will launch, on a backend that only takes note of it."""
        rehearse_training(self._config, planner, self._shape(self.loader.dataset))
        for dataset in (self.validation, self.test):
            if dataset is not None:
                self.rehearse_evaluation(planner, dataset)

    def rehearse_evaluation(self, planner: Backend, dataset: Dataset) -> None:
        """As ``rehearse``, for an evaluation of one of the splits."""
        rehearse_evaluation(self._config, planner, self._shape(dataset))

    def _shape(self, dataset: Dataset) -> SplitShape:
        is_resident = dataset.on_device or fits(self._backend, dataset)
        return SplitShape(dataset.image_shape, self.task, len(dataset), is_resident)


def _normalisation(config: Config, train: Dataset, kept: Normalisation | None) -> Normalisation:
    """Of the inputs, as ``RunData.normalisation`` says."""
    channels, mean, std = train.image_shape[2], config.data.mean, config.data.std
    if mean is not None and std is not None:
        if not len(mean) == len(std) == channels:
            raise ConfigError(
                f"data.mean has {len(mean)} numbers and data.std {len(std)}; the images have "
                f"{channels} channels, and each needs one of either"
            )
        return Normalisation(tuple(mean), tuple(std))
    if not config.data.normalise:
        return no_normalisation(channels)
    if kept is not None and len(kept.mean) == channels:
        return kept
    return channel_statistics(train)
