"""Timing whole training runs, ours and PyTorch's, one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gpucnn.backends.base import Backend
from gpucnn.bench.torch_device import TorchDevice
from gpucnn.bench.torch_training import TorchTraining
from gpucnn.config import Config
from gpucnn.data import DatasetPair, in_memory
from gpucnn.training.trainer import Trainer


@dataclass(frozen=True)
class TrainingResult:
    """A run.

    Attributes:
        name: "gpucnn" or "torch".
        accuracy: on the test split, after the last epoch.
        seconds: of all epochs, each with an evaluation on the test split; compilation and reading
            the data set are not in it.
    """

    name: str
    accuracy: float
    seconds: float


def compare_training(
    config: Config, backend: Backend, against_torch: bool, data: DatasetPair | None = None
) -> list[TrainingResult]:
    """Trains with gpucnn, then with PyTorch, on the same device.

    Args:
        config: what to train, on what, and how.
        backend: ours.
        against_torch: whether PyTorch trains too.
        data: the data set; None to read the one that the config names.

    Raises:
        GpucnnError: whatever is wrong with the data or the model, or PyTorch cannot take part.
    """
    data = data or config.load_data()
    data = DatasetPair(in_memory(data.train), in_memory(data.test))
    torch = TorchDevice(backend) if against_torch else None
    results = [_ours(config, backend, data)]
    if torch is not None:
        results.append(_theirs(config, backend, data, torch))
    return results


def _ours(config: Config, backend: Backend, data: DatasetPair) -> TrainingResult:
    # A step of another run: kernels are compiled and loaded from then on.
    warm_up = Trainer(config, backend, data=data)
    warm_up.prepare()
    warm_up.train_step(next(warm_up.loader.batches(0)))
    trainer = Trainer(config, backend, data=data)
    accuracy, seconds = _timed(lambda: trainer.fit().accuracy, backend.synchronise)
    return TrainingResult("gpucnn", accuracy, seconds)


def _theirs(
    config: Config, backend: Backend, data: DatasetPair, torch: TorchDevice
) -> TrainingResult:
    warm_up = TorchTraining(config, data, backend, torch)
    warm_up.train_step(next(warm_up.loader.batches(0)), 0)
    warm_up.evaluate()
    training = TorchTraining(config, data, backend, torch)
    accuracy, seconds = _timed(training.fit, backend.synchronise)
    return TrainingResult("torch", accuracy, seconds)


def _timed(run: Callable[[], Any], synchronise: Callable[[], None]) -> tuple[Any, float]:
    synchronise()
    start = time.perf_counter()
    answer = run()
    synchronise()
    return answer, time.perf_counter() - start
