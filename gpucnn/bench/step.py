"""Timing whole training steps, ours against PyTorch's, interleaved in one run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gpucnn import random
from gpucnn.backends.base import Backend
from gpucnn.bench.torch_peer import import_torch, to_torch, torch_loss, torch_optimizer
from gpucnn.config import Config
from gpucnn.layers import Network
from gpucnn.processor import available_cores
from gpucnn.random import Stream

_WARM_UP = 3
_PAUSE = 0.02
"""Seconds before each step: the threads of the one before spin for a while when it is done."""
TORCH_FORMATS = ("contiguous", "channels_last")


@dataclass(frozen=True)
class Timing:
    """Milliseconds of a training step.

    Attributes:
        name: "ours", or PyTorch's memory format.
        median, low, high: of all repetitions; low and high are the quartiles.
    """

    name: str
    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """The result: ``ratio`` is ours over PyTorch's as it comes (contiguous), each a median."""

    ours: Timing
    torch: tuple[Timing, ...]
    torch_version: str | None
    threads: int
    repetitions: int

    def ratio(self, other: Timing) -> float:
        """Our median over another."""
        return self.ours.median / other.median

    def as_json(self) -> dict[str, Any]:
        """``ours_ms``, and with PyTorch ``torch_ms`` and ``ratio``; and all that was measured."""
        answer: dict[str, Any] = {
            "ours_ms": self.ours.median,
            "threads": self.threads,
            "repetitions": self.repetitions,
            "ours": asdict(self.ours),
        }
        if self.torch:
            answer |= {
                "torch_ms": self.torch[0].median,
                "ratio": self.ratio(self.torch[0]),
                "torch_version": self.torch_version,
                "torch": {t.name: {**asdict(t), "ratio": self.ratio(t)} for t in self.torch},
            }
        return answer


def compare_steps(
    config: Config,
    image_shape: tuple[int, int, int],
    classes: int,
    backend: Backend,
    against_torch: bool,
    repetitions: int = 30,
) -> Comparison:
    """Times training steps on random data: forward, loss, backward, optimizer.

    All contestants get the same network, batch and number of threads, and take turns.

    Args:
        config: the model, loss, optimizer and batch size.
        image_shape: (H, W, C).
        classes: how many.
        backend: ours.
        against_torch: whether PyTorch runs too, in both of its memory formats.
        repetitions: steps that are timed, of each.

    Raises:
        BackendError: PyTorch is asked for and not installed.
        ConfigError: PyTorch has no counterpart of something in the config.
    """
    steps: dict[str, Callable[[], object]] = {
        "ours": _our_step(config, image_shape, classes, backend)
    }
    version = None
    if against_torch:
        torch = import_torch()
        torch.set_num_threads(available_cores())
        version = torch.__version__
        for memory_format in TORCH_FORMATS:
            steps[memory_format] = _torch_step(config, image_shape, classes, backend, memory_format)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for repetition in range(_WARM_UP + repetitions):
        for name, step in steps.items():
            time.sleep(_PAUSE)
            start = time.perf_counter()
            step()
            if repetition >= _WARM_UP:
                seconds[name].append(time.perf_counter() - start)
    timings = [_timing(name, times) for name, times in seconds.items()]
    return Comparison(timings[0], tuple(timings[1:]), version, available_cores(), repetitions)


def _timing(name: str, seconds: list[float]) -> Timing:
    low, median, high = (1e3 * value for value in statistics.quantiles(seconds, n=4))
    return Timing(name, median, low, high)


def _batch(config: Config, image_shape: tuple[int, int, int], classes: int) -> tuple[Any, Any]:
    N = config.training.batch_size
    count = int(np.prod(image_shape))
    x = random.normal(config.seed, Stream.SYNTHETIC_DATA, 0, N * count)
    word = random.words(config.seed, Stream.SYNTHETIC_DATA, 1, N)
    return x.astype(np.float32).reshape(N, *image_shape), random.to_integers(word, 0, classes)


def _our_step(
    config: Config, image_shape: tuple[int, int, int], classes: int, backend: Backend
) -> Callable[[], object]:
    network = Network(
        config.build_model(), image_shape, classes, backend, config.seed, config.training.fuse
    )
    network.train()
    optimizer, loss = config.build_optimizer(), config.build_loss()
    optimizer.attach(network)
    host_x, host_labels = _batch(config, image_shape, classes)
    x, labels = backend.asarray(host_x), backend.asarray(host_labels)
    number = 0

    def step() -> float:
        nonlocal number
        number += 1
        network.begin_step(number)
        losses = loss.forward(backend, network.forward(x), labels)
        network.backward(loss.backward(backend, labels.size))
        optimizer.step(number)
        backend.synchronise()
        return float(backend.to_numpy(losses).mean())

    return step


def _torch_step(
    config: Config,
    image_shape: tuple[int, int, int],
    classes: int,
    backend: Backend,
    memory_format: str,
) -> Callable[[], object]:
    torch = import_torch()
    network = Network(config.build_model(), image_shape, classes, backend, config.seed)
    layout = getattr(torch, f"{memory_format}_format" if memory_format == "contiguous"
                     else memory_format)  # fmt: skip
    module = to_torch(network).train().to(memory_format=layout)
    optimizer = torch_optimizer(module, config.build_optimizer())
    loss = torch_loss(config.build_loss())
    host_x, host_labels = _batch(config, image_shape, classes)
    x = torch.from_numpy(host_x.transpose(0, 3, 1, 2).copy()).to(memory_format=layout)
    labels = torch.from_numpy(host_labels).long()

    def step() -> float:
        optimizer.zero_grad()
        value = loss(module(x), labels)
        value.backward()
        optimizer.step()
        return float(value.item())

    return step
