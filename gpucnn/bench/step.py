"""Timing whole training steps, ours against PyTorch's, interleaved in one run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn import random
from gpucnn.backends.base import Backend
from gpucnn.bench.device_clock import cuda_device, host_clock
from gpucnn.bench.load import Load, LoadMeter, why_busy
from gpucnn.bench.timing import Run, Timing, time_in_turns
from gpucnn.bench.torch_device import MEMORY_FORMATS, TorchDevice
from gpucnn.bench.torch_peer import to_torch, torch_loss, torch_optimizer
from gpucnn.config import Config
from gpucnn.config_tables import Training
from gpucnn.layers import Network
from gpucnn.processor import available_cores
from gpucnn.random import Stream
from gpucnn.training.step import clip_gradients
from gpucnn.training.task import Task

_STEPS_ON_A_GPU = 10
"""Steps between two readings of the clock: the host runs ahead of a GPU, as it does in training."""


@dataclass(frozen=True)
class Comparison:
    """The result: ``ratio`` is ours over PyTorch's in FP32, contiguous, each a median."""

    ours: Timing
    torch: tuple[Timing, ...]
    torch_version: str | None
    torch_device: str | None
    threads: int
    batch_size: int
    repetitions: int
    load: Load

    @property
    def why_busy(self) -> str:
        """Why the times and ratios mean little; empty if they do mean something."""
        return why_busy(self.load, (self.ours, *self.torch))

    def ratio(self, other: Timing) -> float:
        """Our median over another."""
        return self.ours.median / other.median

    def as_json(self) -> dict[str, object]:
        """``ours_ms``, and with PyTorch ``torch_ms`` and ``ratio``; and all that was measured."""
        answer: dict[str, object] = {
            "ours_ms": self.ours.median,
            "threads": self.threads,
            "batch_size": self.batch_size,
            "repetitions": self.repetitions,
            "ours": asdict(self.ours),
            "load": {**self.load.as_json(), "busy": bool(self.why_busy), "why": self.why_busy},
        }
        if self.torch:
            answer |= {
                "torch_ms": self.torch[0].median,
                "ratio": self.ratio(self.torch[0]),
                "torch_version": self.torch_version,
                "torch_device": self.torch_device,
                "torch": {t.name: {**asdict(t), "ratio": self.ratio(t)} for t in self.torch},
            }
        return answer


def compare_steps(
    config: Config,
    image_shape: tuple[int, int, int],
    task: Task,
    backend: Backend,
    against_torch: bool,
    repetitions: int = 30,
) -> Comparison:
    """Times training steps on random data: forward, loss, backward, clipping, optimizer.

    That is what both libraries have to do for a step. What a ``Trainer`` does besides is left out:
    it prepares the inputs, looks whether loss and gradient are finite, and keeps loss and accuracy.

    All contestants get the same network, batch, device and number of threads, and take turns. On a
    GPU several steps follow one another without a look at their results, as in training.

    Args:
        config: the model, loss, optimizer, clipping and batch size.
        image_shape: (H, W, C).
        task: what is learned.
        backend: ours.
        against_torch: whether PyTorch runs too, in both of its memory formats; in true FP32, and
            on GPUs that have TF32 also as it computes convolutions by itself.
        repetitions: steps that are timed, of each.

    Raises:
        BackendError: PyTorch is asked for and not installed, or cannot use the GPU.
        ConfigError: PyTorch has no counterpart of something in the config.
    """
    backend.compile_ahead(lambda planner: _our_step(config, image_shape, task, planner)())
    steps: dict[str, Run] = {"ours": _our_step(config, image_shape, task, backend)}
    torch = TorchDevice(backend) if against_torch else None
    if torch is not None:
        for memory_format in MEMORY_FORMATS:
            step = _torch_step(config, image_shape, task, backend, torch, memory_format)
            steps |= torch.in_both(memory_format, step)
    meter = LoadMeter()
    in_a_row = 1 if cuda_device(backend) is None else _STEPS_ON_A_GPU
    timings = time_in_turns(
        steps, host_clock(backend), repetitions, times=dict.fromkeys(steps, in_a_row)
    )
    return Comparison(
        timings[0],
        tuple(timings[1:]),
        torch.version if torch else None,
        torch.name if torch else None,
        available_cores(),
        config.training.batch_size,
        repetitions,
        meter.read(),
    )


def _batch(
    config: Config, image_shape: tuple[int, int, int], task: Task
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    N = config.training.batch_size
    count = int(np.prod(image_shape))
    x = random.normal(config.seed, Stream.SYNTHETIC_DATA, 0, N * count)
    return x.astype(np.float32).reshape(N, *image_shape), task.draw(config.seed, N)


def _our_step(
    config: Config, image_shape: tuple[int, int, int], task: Task, backend: Backend
) -> Run:
    network = Network(
        config.build_model(),
        image_shape,
        task.outputs,
        backend,
        config.seed,
        config.training.fuse,
        rate_factors=config.finetune.rate_factors,
    )
    network.train()
    optimizer, loss = config.build_optimizer(), config.build_loss()
    optimizer.attach(network)
    host_x, host_target = _batch(config, image_shape, task)
    x, target = backend.asarray(host_x), backend.asarray(host_target)
    number = 0

    def step() -> None:
        nonlocal number
        number += 1
        network.begin_step(number)
        loss.forward(backend, network.forward(x), target)
        network.backward(loss.backward(backend, len(host_target)))
        clip_gradients(network, config.training)
        optimizer.step(number)

    return step


def _torch_step(
    config: Config,
    image_shape: tuple[int, int, int],
    task: Task,
    backend: Backend,
    torch: TorchDevice,
    memory_format: str,
) -> Run:
    network = Network(
        config.build_model(),
        image_shape,
        task.outputs,
        backend,
        config.seed,
        rate_factors=config.finetune.rate_factors,
    )
    layout = torch.memory_format(memory_format)
    module = to_torch(network).train().to(torch.name, memory_format=layout)
    optimizer = torch_optimizer(module, config.build_optimizer())
    loss = torch_loss(config.build_loss())
    host_x, host_target = _batch(config, image_shape, task)
    x = torch.tensor(host_x, memory_format)
    target = torch.tensor(host_target)
    target = target.float() if target.is_floating_point() else target.long()

    def step() -> None:
        optimizer.zero_grad()
        loss(module(x), target).backward()
        _clip_torch_gradients(module, config.training, torch)
        optimizer.step()

    return step


def _clip_torch_gradients(module: Any, options: Training, torch: TorchDevice) -> None:
    clip = torch.torch.nn.utils
    if options.clip_value is not None:
        clip.clip_grad_value_(module.parameters(), options.clip_value)
    if options.clip_norm is not None:
        clip.clip_grad_norm_(module.parameters(), options.clip_norm)
