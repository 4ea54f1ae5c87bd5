"""Schedules: what the learning rate is multiplied by at each step."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

from gpucnn.errors import ConfigError
from gpucnn.registry import Registry

schedules: Registry[Schedule] = Registry("schedule")


class Schedule(ABC):
    """A factor for each step, after a linear warm-up.

    Args:
        warmup_epochs: how long the factor rises from near 0 to 1 first: it is (s + 1)/n in step
            s of n. The schedule proper begins after it.
    """

    def __init__(self, warmup_epochs: float) -> None:
        if warmup_epochs < 0.0:
            raise ConfigError(f"warmup_epochs is {warmup_epochs}; it must not be negative")
        self.warmup_epochs = warmup_epochs

    def factor(self, step: int, total_steps: int, steps_per_epoch: int) -> float:
        """The factor in step ``step``, from 0, of ``total_steps``."""
        warmup = min(round(self.warmup_epochs * steps_per_epoch), total_steps)
        if step < warmup:
            return (step + 1) / warmup
        return self._factor(step - warmup, max(1, total_steps - warmup), steps_per_epoch)

    @abstractmethod
    def _factor(self, step: int, total_steps: int, steps_per_epoch: int) -> float:
        """The factor after the warm-up, from which steps count here."""


@schedules.register("constant")
class Constant(Schedule):
    """1 throughout.

    Args:
        warmup_epochs: length of the linear warm-up.
    """

    def __init__(self, warmup_epochs: float = 0.0) -> None:
        super().__init__(warmup_epochs)

    def _factor(self, step: int, total_steps: int, steps_per_epoch: int) -> float:
        return 1.0


@schedules.register("step")
class Step(Schedule):
    """Multiplied by ``decay`` every so many epochs.

    Args:
        every_epochs: how often.
        decay: the factor each time.
        warmup_epochs: length of the linear warm-up.
    """

    def __init__(self, every_epochs: float, decay: float = 0.1, warmup_epochs: float = 0.0) -> None:
        super().__init__(warmup_epochs)
        if every_epochs <= 0.0 or not 0.0 < decay <= 1.0:
            raise ConfigError(
                f"every_epochs={every_epochs}, decay={decay}: every_epochs must be above 0, decay "
                f"above 0 and at most 1"
            )
        self.every_epochs, self.decay = every_epochs, decay

    def _factor(self, step: int, total_steps: int, steps_per_epoch: int) -> float:
        return float(self.decay ** (step // max(1, round(self.every_epochs * steps_per_epoch))))


@schedules.register("cosine")
class Cosine(Schedule):
    """Half a cosine from 1 down to ``final`` (Loshchilov, Hutter 2017, without restarts).

    Args:
        final: the factor that is reached after the last step.
        warmup_epochs: length of the linear warm-up.
    """

    def __init__(self, final: float = 0.0, warmup_epochs: float = 0.0) -> None:
        super().__init__(warmup_epochs)
        if not 0.0 <= final <= 1.0:
            raise ConfigError(f"final is {final}; it must be from 0 to 1")
        self.final = final

    def _factor(self, step: int, total_steps: int, steps_per_epoch: int) -> float:
        return _half_cosine(1.0, self.final, step / total_steps)


@schedules.register("one_cycle")
class OneCycle(Schedule):
    """Up to 1 and down again, along half cosines (Smith, Topin 2018).

    Args:
        peak: the share of all steps after which the factor is 1.
        initial: the factor of the first step.
        final: the factor of the last step.
        warmup_epochs: length of a linear warm-up before the cycle.
    """

    def __init__(
        self,
        peak: float = 0.3,
        initial: float = 0.04,
        final: float = 4e-6,
        warmup_epochs: float = 0.0,
    ) -> None:
        super().__init__(warmup_epochs)
        if not (0.0 <= peak <= 1.0 and 0.0 <= initial <= 1.0 and 0.0 <= final <= 1.0):
            raise ConfigError(
                f"peak={peak}, initial={initial}, final={final}: each must be from 0 to 1"
            )
        self.peak, self.initial, self.final = peak, initial, final

    def _factor(self, step: int, total_steps: int, steps_per_epoch: int) -> float:
        top, last = self.peak * total_steps - 1.0, total_steps - 1.0
        if step < top:
            return _half_cosine(self.initial, 1.0, step / top)
        return _half_cosine(1.0, self.final, (step - top) / max(1.0, last - top))


def _half_cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1.0 + math.cos(math.pi * min(1.0, progress))) / 2.0
