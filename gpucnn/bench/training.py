"""Timing whole training runs, ours and PyTorch's, one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from gpucnn.backends.base import Backend
from gpucnn.bench.load import Load, LoadMeter
from gpucnn.bench.torch_device import TorchDevice
from gpucnn.bench.torch_training import TorchTraining
from gpucnn.config import Config
from gpucnn.data import BatchLoader, DatasetPair, in_memory
from gpucnn.errors import ConfigError
from gpucnn.training.trainer import Trainer


@dataclass(frozen=True)
class TrainingResult:
    """A run.

    Attributes:
        name: "gpucnn" or "torch".
        accuracy: on the test split, after the last epoch.
        seconds: of all epochs, each with an evaluation, and of one more on the test split at the
            end. Reading the data set, compilation and first steps are not in it.
        load: what else ran meanwhile.
    """

    name: str
    accuracy: float
    seconds: float
    load: Load

    def as_json(self) -> dict[str, object]:
        """All of it."""
        return {**asdict(self), "load": self.load.as_json()}


def compare_training(
    config: Config, backend: Backend, against_torch: bool
) -> Iterator[TrainingResult]:
    """Trains with gpucnn, then with PyTorch, on the same device; yields each as soon as it is done.

    Args:
        config: what to train, on what, and how.
        backend: ours.
        against_torch: whether PyTorch trains too.

    Raises:
        GpucnnError: whatever is wrong with the data or the model, or PyTorch cannot take part;
            what PyTorch cannot do is known before anything is timed.
    """
    data = config.load_data()
    if not data.train.classes:
        raise ConfigError("accuracies are compared, so the data must have classes, not numbers")
    data = DatasetPair(in_memory(data.train), in_memory(data.test))
    torch = TorchDevice(backend) if against_torch else None
    if torch is not None:
        TorchTraining(config, data, backend, torch)
    yield _ours(config, backend, data)
    if torch is not None:
        yield _theirs(config, backend, data, torch)


def _ours(config: Config, backend: Backend, data: DatasetPair) -> TrainingResult:
    warm_up = Trainer(config, backend, data=data)
    warm_up.prepare()
    for number in _each_size(warm_up.loader):
        warm_up.train_step(next(warm_up.loader.batches(0, number)))
    warm_up.evaluate()
    trainer = Trainer(config, backend, data=data)
    trainer.prepare()
    return _timed("gpucnn", lambda: trainer.fit().score, backend.synchronise)


def _theirs(
    config: Config, backend: Backend, data: DatasetPair, torch: TorchDevice
) -> TrainingResult:
    warm_up = TorchTraining(config, data, backend, torch)
    for number in _each_size(warm_up.loader):
        warm_up.train_step(next(warm_up.loader.batches(0, number)), 0)
    warm_up.evaluate()
    training = TorchTraining(config, data, backend, torch)
    return _timed("torch", training.fit, backend.synchronise)


def _each_size(loader: BatchLoader) -> tuple[int, ...]:
    """The first batch and the last, which may be smaller: cuDNN looks for algorithms for each."""
    return 0, len(loader) - 1


def _timed(name: str, run: Callable[[], float], synchronise: Callable[[], None]) -> TrainingResult:
    synchronise()
    meter, start = LoadMeter(), time.perf_counter()
    accuracy = run()
    synchronise()
    return TrainingResult(name, accuracy, time.perf_counter() - start, meter.read())
