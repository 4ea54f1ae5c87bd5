"""Whether the machine was busy with something else while times were measured.

Times on a busy machine mean little, and so do their ratios: PyTorch's threads spin while they wait
for one another, so that a thread that loses its core holds up all of them, and ours sleep. On two
cores with two other busy processes, a ratio of 1.4 becomes 0.1 to 0.6, whether of medians or of
minima.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gpucnn.bench.timing import Timing
from gpucnn.processor import available_cores

_STATISTICS = Path("/proc/stat")
_TICKS = os.sysconf("SC_CLK_TCK")
_BUSY = (0, 1, 2, 5, 6, 7)
"""Columns of a processor's line: user, nice, system, irq, softirq and steal."""
_MOST_OTHERS = 0.1
_MOST_SPREAD = 0.5
_MOST_DRIFT = 0.2


@dataclass(frozen=True)
class Load:
    """What else ran on the cores of this process.

    Attributes:
        others: how many cores were busy with other processes, as a mean; None if the system does
            not say.
        cores: how many this process may use.
    """

    others: float | None
    cores: int

    @property
    def why_busy(self) -> str:
        """Why times that were measured meanwhile mean little; empty if nothing is known."""
        if self.others is None or self.others <= _MOST_OTHERS * self.cores:
            return ""
        return f"other processes kept {self.others:.1f} of {self.cores} cores busy"

    def as_json(self) -> dict[str, object]:
        """Both numbers, and whether the machine was busy."""
        return {
            "busy": bool(self.why_busy),
            "cores_busy_with_others": self.others,
            "cores": self.cores,
        }


class LoadMeter:
    """Measures the load from its creation on."""

    def __init__(self) -> None:
        self._begin = _reading()

    def read(self) -> Load:
        """The load so far."""
        cores = available_cores()
        if self._begin is None or (now := _reading()) is None:
            return Load(None, cores)
        wall, busy, own = (b - a for a, b in zip(self._begin, now, strict=True))
        # A processor's times are counted in ticks, ours more finely.
        others = max(0.0, busy - own - 2 * cores / _TICKS)
        return Load(round(others / wall, 3) if wall > 0 else 0.0, cores)


def why_busy(load: Load, timings: Sequence[Timing]) -> str:
    """Why these times mean little, in one clause; empty if they are steady and nothing else ran.

    Args:
        load: while they were measured.
        timings: what was measured.
    """
    reasons = [load.why_busy]
    spread = max(timings, key=lambda one: one.spread, default=None)
    if spread and spread.spread > _MOST_SPREAD:
        reasons.append(f"the quartiles{_of(spread)} are {spread.spread:.0%} of the median apart")
    drift = max(timings, key=lambda one: abs(one.drift), default=None)
    if drift and abs(drift.drift) > _MOST_DRIFT:
        direction = "slower" if drift.drift > 0 else "faster"
        how = f"{abs(drift.drift):.0%} {direction} than the first"
        reasons.append(f"the second half of the runs{_of(drift)} was {how}")
    return ", and ".join(filter(None, reasons))


def why_mostly_busy(load: Load, timings: Sequence[Timing]) -> str:
    """The same for many short measurements, of which single ones may vary: their typical spread."""
    reasons = [load.why_busy]
    if timings:
        spread = statistics.median(one.spread for one in timings)
        if spread > _MOST_SPREAD:
            apart = f"{spread:.0%} of the median apart"
            reasons.append(f"of half of the measurements the quartiles are {apart} or more")
    return ", and ".join(filter(None, reasons))


def warning(why: str) -> str:
    """What to print on stderr about times that mean little."""
    return f"warning: these times mean little: {why}; measure again on an idle machine"


def _of(timing: Timing) -> str:
    return f" of {timing.name}" if timing.name else ""


def _reading() -> tuple[float, float, float] | None:
    """Seconds: on the clock, of all processes on this process's cores, of this process."""
    try:
        lines = _STATISTICS.read_text(encoding="ascii").splitlines()
        numbers = os.sched_getaffinity(0)
    except (OSError, AttributeError):  # as on macOS
        return None
    names = {f"cpu{number}" for number in numbers}
    rows = [line.split() for line in lines if line.split(" ", 1)[0] in names]
    if len(rows) != len(names):
        return None
    ticks = sum(int(row[1:][column]) for row in rows for column in _BUSY)
    own = os.times()
    return (
        time.monotonic(),
        ticks / _TICKS,
        own.user + own.system + own.children_user + own.children_system,
    )
