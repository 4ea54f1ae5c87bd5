"""Timing contestants in turns, on the host's clock or between a GPU's events."""

from __future__ import annotations

import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from gpucnn.backends.devices.cuda.cupy_types import Stream

Run: TypeAlias = Callable[[], object]
"""One run of a contestant: hands its work to the device, and need not wait for it."""


@dataclass(frozen=True)
class Timing:
    """Milliseconds of a run.

    Attributes:
        name: whose.
        median, low, high: of all repetitions; low and high are the quartiles.
        drift: by how much the median of the second half of the repetitions exceeds that of the
            first half, as a share of it.
    """

    name: str
    median: float
    low: float
    high: float
    drift: float = 0.0

    @property
    def spread(self) -> float:
        """The distance of the quartiles, as a share of the median."""
        return (self.high - self.low) / self.median if self.median > 0 else 0.0

    @classmethod
    def of(cls, name: str, seconds: list[float]) -> Timing:
        """From the seconds of two repetitions or more, in order."""
        low, median, high = (1e3 * value for value in statistics.quantiles(seconds, n=4))
        half = len(seconds) // 2
        before, after = statistics.median(seconds[:half]), statistics.median(seconds[half:])
        return cls(name, median, low, high, after / before - 1 if before > 0 else 0.0)


class Clock(ABC):
    """Measures runs that follow one another."""

    @abstractmethod
    def seconds(self, run: Run, times: int = 1) -> float:
        """Seconds that one of so many runs takes, one right behind the other."""


class HostClock(Clock):
    """The host's clock, from an idle device to an idle device: what the host does counts too.

    Before the clock starts, one run more wakes the threads that slept through the turns of others.

    Args:
        synchronise: waits until the device is idle.
        pause: seconds to wait before the runs; on a CPU, the threads of the run before still spin
            for a while when it is done.
    """

    def __init__(self, synchronise: Callable[[], object], pause: float = 0.0) -> None:
        self._synchronise = synchronise
        self._pause = pause

    def seconds(self, run: Run, times: int = 1) -> float:
        """Seconds that one of so many runs takes."""
        self._synchronise()
        time.sleep(self._pause)
        run()
        self._synchronise()
        start = time.perf_counter()
        for _ in range(times):
            run()
        self._synchronise()
        return (time.perf_counter() - start) / times


class EventClock(Clock):
    """CUDA events around runs that wait for the GPU, not the GPU for them.

    The GPU is kept busy until all runs are in its queue, so that the time between the events is
    the GPU's own: no kernel waits for the host to launch it.

    Args:
        cupy: the module.
        stream: where runs go.
        occupy: keeps the GPU busy on the stream for so many seconds, and returns at once.
    """

    _SHORTEST, _LONGEST = 200e-6, 0.2
    """Seconds. A run that waits for the GPU itself is never in the queue before its turn."""

    def __init__(self, cupy: Any, stream: Stream, occupy: Callable[[float], None]) -> None:
        self._event = cupy.cuda.Event
        self._elapsed = cupy.cuda.get_elapsed_time
        self._stream = stream
        self._occupy = occupy
        self._ahead = self._SHORTEST

    def seconds(self, run: Run, times: int = 1) -> float:
        """Seconds that one of so many runs takes on the GPU."""
        # What was enough the last time, and a little less, so that it does not stay too long.
        ahead = max(self._SHORTEST, self._ahead / 2)
        while True:
            start, end = self._event(), self._event()
            self._stream.synchronize()
            self._occupy(ahead)
            start.record(self._stream)
            for _ in range(times):
                run()
            end.record(self._stream)
            # Had the GPU come to the first run by then, it might have had to wait for the last.
            was_late = start.done
            end.synchronize()
            if not was_late or ahead >= self._LONGEST:
                self._ahead = ahead
                return float(self._elapsed(start, end)) / 1e3 / times
            ahead *= 2


def time_in_turns(
    contestants: Mapping[str, Run],
    clock: Clock,
    repetitions: int,
    warm_up: int = 3,
    times: Mapping[str, int] | None = None,
) -> list[Timing]:
    """Times all contestants, one repetition of each after the other.

    So whatever slows the machine down for a while slows all of them down.

    Args:
        contestants: by name.
        clock: what measures.
        repetitions: that count, of each; two at least.
        warm_up: repetitions before those.
        times: how many runs a repetition has, by name; None for one.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for repetition in range(warm_up + repetitions):
        for name, run in contestants.items():
            measured = clock.seconds(run, 1 if times is None else times[name])
            if repetition >= warm_up:
                seconds[name].append(measured)
    return [Timing.of(name, measured) for name, measured in seconds.items()]
