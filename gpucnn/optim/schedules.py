"""Schedules: what the learning rate is multiplied by at each step."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping

from gpucnn.errors import ConfigError
from gpucnn.registry import Registry

schedules: Registry[Schedule] = Registry("schedule")

_NEVER = 2.0**62
"""Steps: more than any run has."""


class Schedule(ABC):
    """A factor for each step.

    Attributes:
        warmup_epochs: how long the factor rises from near 0 to 1 at the beginning.
    """

    def __init__(self, warmup_epochs: float) -> None:
        if warmup_epochs < 0.0:
            raise ConfigError(f"warmup_epochs is {warmup_epochs}; it must not be negative")
        self.warmup_epochs = warmup_epochs

    @abstractmethod
    def factor(self, step: int, total_steps: int, steps_per_epoch: int) -> float:
        """The factor in step ``step``, from 0, of ``total_steps``, or after these."""


class Rule(Schedule):
    """A rule that begins after a linear warm-up, in which the factor is (s + 1)/n in step s of n.

    Args:
        warmup_epochs: the length of the warm-up.
    """

    continues = False
    """Whether the rule says what follows the last step; if not, the factor stays as it was then."""

    def factor(self, step: int, total_steps: int, steps_per_epoch: int) -> float:
        """The factor in step ``step``, from 0, of ``total_steps``, or after these."""
        if not self.continues:
            step = min(step, total_steps - 1)
        warmup = round(min(self.warmup_epochs * steps_per_epoch, total_steps))
        if step < warmup:
            return (step + 1) / warmup
        return self._factor(step - warmup, max(1, total_steps - warmup), steps_per_epoch)

    @abstractmethod
    def _factor(self, step: int, total_steps: int, steps_per_epoch: int) -> float:
        """The factor after the warm-up, from which steps count here."""


class Parts(Schedule):
    """Schedules one after another, each of which counts steps from where it begins.

    Each applies until the next one begins, also after the epochs that it was made for.

    Args:
        parts: by the epoch in which it begins, ascending from 0: a schedule and the number of
            epochs that it was made for.
    """

    def __init__(self, parts: Mapping[int, tuple[Schedule, int]]) -> None:
        super().__init__(parts[0][0].warmup_epochs)
        self._parts = parts

    def factor(self, step: int, total_steps: int, steps_per_epoch: int) -> float:
        """The factor in step ``step``, from 0; how many steps there are, the parts know."""
        begin = max(epoch for epoch in self._parts if epoch * steps_per_epoch <= step)
        schedule, epochs = self._parts[begin]
        done = begin * steps_per_epoch
        return schedule.factor(step - done, epochs * steps_per_epoch, steps_per_epoch)


@schedules.register("constant")
class Constant(Rule):
    """A factor of 1 throughout.

    Args:
        warmup_epochs: length of the linear warm-up.
    """

    def __init__(self, warmup_epochs: float = 0.0) -> None:
        super().__init__(warmup_epochs)

    def _factor(self, step: int, total_steps: int, steps_per_epoch: int) -> float:
        return 1.0


@schedules.register("step")
class Step(Rule):
    """From 1, multiplied by ``decay`` every ``every_epochs`` epochs.

    Args:
        every_epochs: the number of epochs between two reductions.
        decay: what the factor is multiplied by each time.
        warmup_epochs: length of the linear warm-up.
    """

    continues = True

    def __init__(self, every_epochs: float, decay: float = 0.1, warmup_epochs: float = 0.0) -> None:
        super().__init__(warmup_epochs)
        if every_epochs <= 0.0 or not 0.0 < decay <= 1.0:
            raise ConfigError(
                f"every_epochs={every_epochs}, decay={decay}: every_epochs must be above 0, decay "
                f"above 0 and at most 1"
            )
        self.every_epochs, self.decay = every_epochs, decay

    def _factor(self, step: int, total_steps: int, steps_per_epoch: int) -> float:
        every = min(self.every_epochs * steps_per_epoch, _NEVER)
        return float(self.decay ** (step // max(1, round(every))))


@schedules.register("cosine")
class Cosine(Rule):
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
class OneCycle(Rule):
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
